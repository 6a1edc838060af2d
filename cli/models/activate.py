"""Run `nightread models activate` and `deactivate`: add and end routing rules."""

from pathlib import Path
from typing import Any

import click

from cli.embedded.state_folder import make_state_folder
from cli.inputs.existing_database import one_line_errors, open_existing_database, require_database_file
from cli.inputs.options import settings_from, state_options
from cli.inputs.user import user_name
from cli.models.register import register_bundle
from cli.models.route import warn_of_fixed_model
from cli.models.routing_table import preview, rule_json, rules_of, show_rules
from cli.output.console import out, print_json
from cli.output.worker_models import print_worker_model_warnings
from cli.wording import counted
from db import ledger, queries, schema
from db.engine import Database, open_database
from db.ledger import NewRoute
from db.queries import Route, routes_in_force
from models.bundle import Bundle
from models.catalogue import find_bundle
from models.routing import Condition, Role, Rule
from nightread.clock import utc_now
from nightread.errors import UsageFault
from nightread.settings import Settings

_WHEN = "Condition, such as modality=CR,DX or rows>=512; repeatable, all must hold [every image]."


@click.command("activate")
@click.argument("name", metavar="NAME[@VERSION]")
@click.option("--when", "conditions", multiple=True, metavar="CONDITION", help=_WHEN)
@click.option("--first", is_flag=True, help="Put this rule before all other rules [after them].")
@click.option(
    "--further", "role", flag_value=Role.FURTHER.value, help="Store a result in addition to the image's result."
)
@click.option(
    "--shadow", "role", flag_value=Role.SHADOW.value, help="Trial: store the results, but show them only on request."
)
@click.option("--replaces", metavar="NAME@VERSION", help="Replace this model in all its rules; add no rule.")
@click.option(
    "--dry-run",
    "paths",
    type=click.Path(exists=True, path_type=Path),
    multiple=True,
    metavar="PATH",
    help="Change nothing: count the images of this file or folder that each rule matches; repeatable.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@state_options
def activate_command(
    name: str,
    conditions: tuple[str, ...],
    first: bool,
    role: str | None,
    replaces: str | None,
    paths: tuple[Path, ...],
    as_json: bool,
    **options: Any,
) -> None:
    """Add a routing rule: which images this model analyses.

    Running workers apply the rule from their next batch on.

    A condition compares a field with one or more patterns (* and ?), separated by commas; case is ignored.
    Fields: source, sop_class, modality, image_type, presentation_intent, body_part, view, description, rows, columns.
    Operators: = and !=, and for rows and columns also >= and <=.

    \b
    Examples: nightread models activate chest@2.0 --when modality=CR,DX --when view=PA,AP --dry-run ~/scans
              nightread models activate chest@2.0 --when modality=CR,DX --when "description=*chest*"
              nightread models activate chest@2.1 --shadow --when modality=CR,DX
              nightread models activate chest@2.1 --replaces chest@2.0
    """  # noqa: D301 - click reads the backspace itself
    settings = settings_from(**options)
    warn_of_fixed_model(settings)
    if replaces and (conditions or role or first):
        raise UsageFault(
            "--replaces keeps the conditions, the role and the position of each replaced rule: omit --when, --first, "
            "--further and --shadow."
        )
    bundle = find_bundle(name, settings.bundle_folders)
    rule = Rule(
        bundle=bundle.reference,
        role=Role(role or Role.ANSWER),
        when=tuple(Condition.parse(condition) for condition in conditions),
    )
    database = _open_or_create_database(settings)
    try:
        with one_line_errors():
            if paths:
                _show_preview(database, rule, settings, paths, first=first, replaces=replaces, as_json=as_json)
                return
            _add_rule(database, bundle, rule, first=first, replaces=replaces)
            rules = rules_of(routes_in_force(database))
            workers = queries.workers(database, now=utc_now())
    finally:
        database.close()
    print_worker_model_warnings(workers, len(rules))
    if as_json:
        print_json([rule_json(rule) for rule in rules])
    else:
        show_rules(rules)


@click.command("deactivate")
@click.argument("name", metavar="NAME[@VERSION]", required=False)
@click.option("--rule", "number", type=int, help="End only the rule with this number, see `nightread models route`.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@state_options
def deactivate_command(name: str | None, number: int | None, as_json: bool, **options: Any) -> None:
    """End all routing rules of a model, or one rule by its number.

    Results stay in the database.

    \b
    Examples: nightread models deactivate chest@2.0
              nightread models deactivate --rule 3
    """  # noqa: D301 - click reads the backspace itself
    if (name is None) == (number is None):
        raise UsageFault("Name either a model (NAME[@VERSION]) or one rule (--rule NUMBER).")
    settings = settings_from(**options)
    with open_existing_database(settings) as database, one_line_errors():
        ending = [
            route.id
            for route in routes_in_force(database)
            if (route.id == number if name is None else _is_named(route.bundle, name))
        ]
        if not ending:
            wanted = f"for {name}" if name else number
            raise UsageFault(f"There is no active rule {wanted}: `nightread models route` lists the rules.")
        ledger.end_routes(database, ending, actor=user_name(), now=utc_now())
        rules = rules_of(routes_in_force(database))
    if as_json:
        print_json([rule_json(rule) for rule in rules])
        return
    out.print(f"Ended {counted(len(ending), 'rule')}; active now: {len(rules)}.")
    if rules:
        show_rules(rules)


def _add_rule(database: Database, bundle: Bundle, rule: Rule, *, first: bool, replaces: str | None) -> None:
    now, actor = utc_now(), user_name()
    require_same_folder(database, bundle, replaces)
    bundle_id = register_bundle(database, bundle)
    if replaces:
        for old_id in {route.bundle_id for route in rules_named(database, replaces)}:
            ledger.replace_bundle(database, old_id, bundle_id, actor=actor, now=now)
        return
    route = NewRoute(bundle_id=bundle_id, role=rule.role.value, conditions=tuple(str(each) for each in rule.when))
    ledger.add_route(database, route, first=first, actor=actor, now=now)


def _show_preview(
    database: Database,
    rule: Rule,
    settings: Settings,
    paths: tuple[Path, ...],
    *,
    first: bool,
    replaces: str | None,
    as_json: bool,
) -> None:
    rules = rules_of(routes_in_force(database))
    if replaces:
        rules_named(database, replaces)
        rules = [
            Rule(bundle=rule.bundle, role=old.role, when=old.when) if _is_named(old.bundle, replaces) else old
            for old in rules
        ]
    else:
        rules = [rule, *rules] if first else [*rules, rule]
    seen = preview(rules, paths, settings)
    if as_json:
        print_json(seen.to_json(rules))
    else:
        show_rules(rules, seen)
        out.print("Nothing was changed. Omit --dry-run to activate.")


def rules_named(database: Database, reference: str) -> list[Route]:
    """Return the active rules of `NAME[@VERSION]`. Raises UsageFault if there is none."""
    named = [route for route in routes_in_force(database) if _is_named(route.bundle, reference)]
    if not named:
        raise UsageFault(f"There is no active rule for {reference}: `nightread models route` lists the rules.")
    return named


def require_same_folder(database: Database, bundle: Bundle, replaces: str | None) -> None:
    """Raise UsageFault if an active rule names a different bundle with the same name and version.

    Workers could not start with both rules. A rule that `replaces` names is no problem.
    """
    for route in routes_in_force(database):
        replaced = replaces is not None and _is_named(route.bundle, replaces)
        if route.bundle == bundle.reference and route.digest != bundle.digest and not replaced:
            raise UsageFault(
                f"Rule {route.id} is active for a different {bundle.reference}: the content of its folder has changed. "
                f"Give the new bundle another version, or replace the old one with --replaces {bundle.reference}."
            )


def _is_named(bundle: str, reference: str) -> bool:
    return reference in (bundle, bundle.partition("@")[0])


def _open_or_create_database(settings: Settings) -> Database:
    """Open the database. Without a database URL it is created if needed: people add rules before the first image."""
    if settings.database_url is None:
        make_state_folder(settings.state_dir)
    else:
        require_database_file(settings)
    database = open_database(settings.sql_url)
    with one_line_errors():
        if settings.database_url is None:
            schema.upgrade(database)
        schema.require_newest(database)
    return database
