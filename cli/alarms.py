"""Define `nightread alarms`: list, acknowledge and silence alarms."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import click
from rich.text import Text

from api.alarms import alarm_json
from cli.inputs.existing_database import ANSWER_SECONDS, one_line_errors, open_existing_database
from cli.inputs.options import settings_from, state_options
from cli.inputs.time_range import MOMENT, arrival_bounds
from cli.inputs.user import user_name
from cli.output.console import out, print_json
from cli.output.tables import make_table, show
from cli.wording import counted
from db import queries
from db.engine import Database
from db.ledger.alarms import LONGEST_SILENCE, Alarm, acknowledge, silence
from nightread.alarm_rules import TIMINGS, AlarmRule
from nightread.clock import utc_now
from nightread.errors import UsageFault
from nightread.nights import Nights, nights_of


@click.group("alarms", invoke_without_command=True)
@click.option("--all", "every", is_flag=True, help="Also list closed alarms.")
@click.option("--night", metavar="DATE|last", help="List all alarms that opened in the night of this date.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@state_options
@click.pass_context
def alarms_command(context: click.Context, /, night: str | None, *, every: bool, as_json: bool, **options: Any) -> None:
    """List the open alarms, with a link to what to do about each.

    `nightread watchdog` opens and closes alarms. `ack` acknowledges an alarm: its message is not repeated. `silence`
    stops all messages about an alarm until a time, for example while you work on the system.

    \b
    Examples: nightread alarms
              nightread alarms --night last
              nightread alarms ack 12
              nightread alarms silence 12 --hours 4
    """  # noqa: D301 - click reads the backspace itself
    if context.invoked_subcommand is not None:
        return
    settings = settings_from(**options)
    since, until = arrival_bounds(settings, None, None, night)
    with open_existing_database(settings, answer_seconds=ANSWER_SECONDS) as database, one_line_errors():
        found = queries.alarms(database, is_open=not (every or night), since=since, until=until)
        unsent = queries.unsent_notices(database)
    if as_json:
        print_json({"alarms": [alarm_json(alarm) for alarm in found], "unsent_notices": unsent})
        return
    _show(found, nights_of(settings), is_open=not (every or night))
    if unsent:
        out.print(f"{counted(unsent, 'message is', 'messages are')} not sent yet: see the log of the watchdog.")


@alarms_command.command("ack")
@click.argument("ids", nargs=-1, type=int, required=True, metavar="ID...")
@state_options
def ack_command(ids: tuple[int, ...], **options: Any) -> None:
    """Acknowledge alarms: they stay open, and their messages are not repeated.

    Example: nightread alarms ack 12 13
    """
    with open_existing_database(settings_from(**options), answer_seconds=ANSWER_SECONDS) as database, one_line_errors():
        changed = acknowledge(database, ids, actor=user_name(), now=utc_now())
        _report("Acknowledged", changed, ids, database)


@alarms_command.command("silence")
@click.argument("ids", nargs=-1, type=int, required=True, metavar="ID...")
@click.option(
    "--hours",
    type=click.FloatRange(0, LONGEST_SILENCE / timedelta(hours=1)),
    help="Silence for this many hours; 0 ends a silence.",
)
@click.option("--until", type=MOMENT, metavar="TIME", help="Until this time (local time of the site).")
@state_options
def silence_command(ids: tuple[int, ...], hours: float | None, until: datetime | None, **options: Any) -> None:
    """Send no message about these alarms until a time, even if they close and open again.

    The time may be at most 31 days ahead.

    \b
    Examples: nightread alarms silence 12 --hours 4
              nightread alarms silence 12 --until 2026-11-06T07:00
    """  # noqa: D301 - click reads the backspace itself
    settings, now = settings_from(**options), utc_now()
    if (hours is None) == (until is None):
        raise UsageFault("Give either --hours or --until.")
    end = now + timedelta(hours=hours) if hours is not None else nights_of(settings).utc(until or now)
    if end > now + LONGEST_SILENCE:
        raise UsageFault(f"An alarm can be silenced for at most {LONGEST_SILENCE.days} days.")
    with open_existing_database(settings, answer_seconds=ANSWER_SECONDS) as database, one_line_errors():
        changed = silence(database, ids, until=end, actor=user_name(), now=now)
        what = (
            f"Silent until {nights_of(settings).local(end):%a %Y-%m-%d %H:%M}" if end > now else "Not silent any more"
        )
        _report(what, changed, ids, database)


def _report(what: str, changed: Sequence[int], ids: Sequence[int], database: Database) -> None:
    """Print what was done. Raises UsageFault if none of these alarms is open."""
    if not changed:
        is_open = ", ".join(str(alarm.id) for alarm in queries.alarms(database, is_open=True))
        raise UsageFault(f"None of these alarms is open; open alarms: {is_open or 'none'}.")
    out.print(f"{what}: {', '.join(map(str, changed))}.")
    if missing := sorted(set(ids) - set(changed)):
        out.print(f"Not open: {', '.join(map(str, missing))}.")


def _show(found: Sequence[Alarm], nights: Nights, *, is_open: bool) -> None:
    if not found:
        out.print("No alarm is open." if is_open else "No alarm matches.")
        return
    table = make_table(out, "id", "opened", "rule", "what", "state", right=["id"])
    for alarm in found:
        opened = nights.local(alarm.opened_at or alarm.first_seen_at)
        table.add_row(str(alarm.id), f"{opened:%Y-%m-%d %H:%M}", alarm.rule, Text(alarm.text), _state(alarm, nights))
    show(out, table)
    rules = {alarm.rule for alarm in found if alarm.closed_at is None}
    for rule in (rule for rule in AlarmRule if rule.value in rules):
        out.print(f"{rule.value}: {TIMINGS[rule].link}", markup=False)


def _state(alarm: Alarm, nights: Nights) -> Text:
    if alarm.closed_at is not None:
        return Text(f"closed {nights.local(alarm.closed_at):%a %H:%M}", style="green")
    if alarm.is_silent(utc_now()) and alarm.silenced_until is not None:
        return Text(f"silent until {nights.local(alarm.silenced_until):%a %H:%M} ({alarm.silenced_by})", style="dim")
    if alarm.acknowledged_by is not None:
        return Text(f"acknowledged by {alarm.acknowledged_by}", style="yellow")
    return Text("open", style="red")
