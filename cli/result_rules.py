"""Define `nightread result-rules`: list the rules on results, and try them."""

from datetime import datetime
from typing import Any

import click
from rich.text import Text

from cli.inputs.existing_database import one_line_errors, open_existing_database
from cli.inputs.options import settings_from, state_options
from cli.inputs.time_range import MOMENT, arrival_bounds
from cli.output.console import out
from cli.output.tables import NOT_FOR_DIAGNOSIS, make_table, show
from cli.wording import counted
from db.ledger.result_actions import rule_matches
from nightread.clock import utc_now
from nightread.errors import UsageFault
from nightread.nights import nights_of
from nightread.result_rules import ResultRule


@click.command("result-rules")
@click.option("--dry-run", is_flag=True, help="Show which studies each rule would match, and do nothing.")
@click.option("--night", metavar="DATE|last", help="With --dry-run: only results of this night [last].")
@click.option("--since", type=MOMENT, metavar="TIME", help="With --dry-run: only results since this local time.")
@state_options
def result_rules_command(*, dry_run: bool, night: str | None, since: datetime | None, **options: Any) -> None:
    """List the result rules of the settings, or try them with --dry-run.

    A rule chooses results by label, score, model or source, and names actions for them: a priority for the rest of the
    study, a tag, a message to a channel, a report to a destination. `nightread watchdog` applies the rules to new
    results. It does each action once per study and writes it to the audit table. A rule never changes a result or its
    mark `not for diagnosis`.

    \b
    Examples: nightread result-rules
              nightread result-rules --dry-run --night last
    """  # noqa: D301 - click reads the backspace itself
    settings = settings_from(**options)
    if (night or since) and not dry_run:
        raise UsageFault("--night and --since need --dry-run.")
    if not settings.result_rules:
        raise UsageFault("The settings have no rule: add [[result_rules]] to the settings file (docs/alarms.md).")
    if not dry_run:
        _list(settings.result_rules)
        return
    begin, end = arrival_bounds(settings, since, None, night or (None if since else "last"))
    now = utc_now()
    with open_existing_database(settings) as database, one_line_errors():
        for rule in settings.result_rules:
            since_utc = begin or nights_of(settings).bounds(nights_of(settings).latest(now))[0]
            found = rule_matches(database, rule, since=since_utc, until=end or now)
            out.print(f"{rule.name}: {counted(len(found), 'study', 'studies')}", markup=False)
            for match in found:
                out.print(f"  {match.subject} (image {match.image_id}): {_actions(rule)}", markup=False)
    if settings.not_for_diagnosis:
        out.print(Text(NOT_FOR_DIAGNOSIS, style="dim"))


def _list(rules: tuple[ResultRule, ...]) -> None:
    table = make_table(out, "rule", "if", "then")
    for rule in rules:
        given = rule.model_dump(include={"label", "min_score", "max_score", "model", "source"}, exclude_none=True)
        table.add_row(rule.name, ", ".join(f"{name} {value}" for name, value in given.items()), _actions(rule))
    show(out, table)


def _actions(rule: ResultRule) -> str:
    return ", ".join(f"{kind} {target}" for kind, target in rule.actions.items())
