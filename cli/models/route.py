"""`nightread models route`: the rules in force."""

from pathlib import Path
from typing import Any

import click

from cli.inputs.existing_database import one_line_errors, open_existing_database
from cli.inputs.options import settings_from, state_options
from cli.models.routing_table import preview, rule_json, rules_of, show_rules
from cli.output.console import err, out, print_json
from db.queries import routes_in_force
from nightread.settings import Settings

NO_RULES = "No rules are in force: name one bundle with --model, or `nightread models activate NAME --when CONDITION`."


@click.command("route")
@click.option(
    "--dry-run",
    "paths",
    type=click.Path(exists=True, path_type=Path),
    multiple=True,
    metavar="PATH",
    help="Count which rule would take which of the images there; nothing is changed.",
)
@click.option("--json", "as_json", is_flag=True, help="As JSON on standard output.")
@state_options
def route_command(paths: tuple[Path, ...], as_json: bool, **options: Any) -> None:
    """Which images go to which network, in the order in which the rules are asked.

    The first answer rule that matches gives an image its result; further rules add results beside it, shadow rules
    results on trial. Images that no rule takes are rejected (no_model): `nightread query --reason no_model`.

    \b
    Examples: nightread models route
              nightread models route --dry-run ~/scans
    """  # noqa: D301 - click reads the backspace itself
    settings = settings_from(**options)
    warn_of_fixed_model(settings)
    with open_existing_database(settings) as database, one_line_errors():
        rules = rules_of(routes_in_force(database))
    seen = preview(rules, paths, settings) if paths else None
    if as_json:
        print_json(seen.to_json(rules) if seen else [rule_json(rule) for rule in rules])
    elif rules or seen:
        show_rules(rules, seen)
    else:
        out.print(NO_RULES)


def warn_of_fixed_model(settings: Settings) -> None:
    """Say so where rules are not asked."""
    if settings.model is not None:
        err.print(f"NIGHTREAD_MODEL names {settings.model} for every image: these rules are not asked.", style="yellow")
