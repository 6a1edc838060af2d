"""Run `nightread models route`: print the active routing rules."""

from pathlib import Path
from typing import Any

import click

from cli.inputs.existing_database import one_line_errors, open_existing_database
from cli.inputs.options import settings_from, state_options
from cli.models.routing_table import preview, rule_json, rules_of, show_rules
from cli.output.console import err, out, print_json
from cli.output.worker_models import print_worker_model_warnings
from db import queries
from db.queries import routes_in_force
from nightread.clock import utc_now
from nightread.settings import Settings

NO_RULES = (
    "There are no routing rules. Name one model for all images with --model, or add rules with "
    "`nightread models activate NAME --when CONDITION`."
)


@click.command("route")
@click.option(
    "--dry-run",
    "paths",
    type=click.Path(exists=True, path_type=Path),
    multiple=True,
    metavar="PATH",
    help="Count the images of this file or folder that each rule matches; change nothing; repeatable.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@state_options
def route_command(paths: tuple[Path, ...], as_json: bool, **options: Any) -> None:
    """Show the routing rules: which images each model analyses.

    Rules are applied in this order. The first matching rule with the role `answer` gives an image its result. Rules
    with the role `further` add results, and rules with the role `shadow` add trial results. Images that match no
    answer rule are rejected with the reason no_model: `nightread query --reason no_model` lists them.

    \b
    Examples: nightread models route
              nightread models route --dry-run ~/scans
    """  # noqa: D301 - click reads the backspace itself
    settings = settings_from(**options)
    warn_of_fixed_model(settings)
    with open_existing_database(settings) as database, one_line_errors():
        rules = rules_of(routes_in_force(database))
        print_worker_model_warnings(queries.workers(database, now=utc_now()), len(rules))
    seen = preview(rules, paths, settings) if paths else None
    if as_json:
        print_json(seen.to_json(rules) if seen else [rule_json(rule) for rule in rules])
    elif rules or seen:
        show_rules(rules, seen)
    else:
        out.print(NO_RULES)


def warn_of_fixed_model(settings: Settings) -> None:
    """Print a warning if NIGHTREAD_MODEL disables the rules."""
    if settings.model is not None:
        err.print(f"NIGHTREAD_MODEL names {settings.model} for every image: routing rules are ignored.", style="yellow")
