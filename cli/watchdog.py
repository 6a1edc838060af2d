"""Define `nightread watchdog`: raise alarms, and report to an outside monitor."""

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click

from api.status import disk_problems
from cli.inputs.existing_database import ANSWER_SECONDS, one_line_errors, open_existing_database
from cli.inputs.options import settings_from, state_options
from cli.output.console import err, out
from cli.service import service
from db import queries
from db.condition import ConditionProblem
from db.engine import Database
from db.heartbeat_timer import HeartbeatTimer, sent_heartbeats
from db.ledger import PartKind
from delivery.alarms import AlarmWatch
from delivery.alarms.result_rules import apply_result_rules
from delivery.alarms.trial import try_channels
from delivery.mail import require_mail_settings
from nightread.alarm_settings import AppriseChannel, MailChannel, WebhookChannel
from nightread.clock import utc_now
from nightread.errors import UsageFault
from nightread.nights import nights_of
from nightread.settings import Settings


@click.command("watchdog")
@click.option("--once", is_flag=True, help="Check once, notify the channels, and exit.")
@click.option("--test-channels", is_flag=True, help="Send a test message to each channel, and exit.")
@state_options
def watchdog_command(*, once: bool, test_channels: bool, **options: Any) -> None:
    """Raise alarms: check everything every 30 seconds, and notify the channels of the settings.

    An alarm is a row in the database (`nightread alarms`). It opens once, is repeated every hour until somebody
    acknowledges it, and closes by itself. Messages go to the log and to the channels in `alarm_channels`: mail, signed
    webhook, command, Apprise. After each round of checks, the outside monitor of `monitor_url` gets a heartbeat; if
    this host is dead, the monitor raises an alarm. docs/alarms.md has all rules. `nightread up` also runs the watchdog.

    \b
    Examples: nightread watchdog --config /etc/nightread.toml
              nightread watchdog --test-channels
              nightread watchdog --once
    """  # noqa: D301 - click reads the backspace itself
    settings = settings_from(**options)
    require_channels(settings)
    if test_channels:
        _test_channels(settings)
    elif once:
        with open_existing_database(settings, answer_seconds=ANSWER_SECONDS) as database, one_line_errors():
            make_watch(settings, database).check()
            number = len(queries.alarms(database, is_open=True))
        out.print(f"{number:,} open alarms: see `nightread alarms`." if number else "No alarm is open.")
    else:
        _follow(settings)


def make_watch(settings: Settings, database: Database) -> AlarmWatch:
    """Return the watchdog of these settings."""

    def further() -> Sequence[ConditionProblem]:
        return list(disk_problems(settings))

    def apply_rules(now: datetime) -> None:
        apply_result_rules(settings, database, now)

    return AlarmWatch(settings, database, nights_of(settings), further=further, after_checks=[apply_rules])


def _follow(settings: Settings) -> None:
    detail = {"round_seconds": settings.watchdog_seconds}
    with service(settings, starts_without_database=True, answer_seconds=ANSWER_SECONDS) as (database, stop):
        timer = HeartbeatTimer(database, PartKind.WATCHDOG, detail)
        with sent_heartbeats(timer):
            make_watch(settings, database).run(stop, before_each=timer.note_work)


def require_channels(settings: Settings) -> None:
    """Raise UsageFault if a channel lacks settings or its secret file: people notice this before the first alarm."""
    for channel in settings.alarm_channels:
        if isinstance(channel, MailChannel):
            require_mail_settings(settings, channel.to)
        try:
            if isinstance(channel, WebhookChannel):
                channel.read_secret()
            elif isinstance(channel, AppriseChannel):
                channel.read_url()
        except (OSError, ValueError) as error:
            raise UsageFault(
                f"The secret of the channel {channel.name} cannot be read ({type(error).__name__}): "
                "correct `secret_file` or `url_file` in the settings file."
            ) from None


def _test_channels(settings: Settings) -> None:
    if not settings.alarm_channels:
        raise UsageFault("The settings have no channel: add [[alarm_channels]] to the settings file (docs/alarms.md).")
    failed = 0
    for name, problem in try_channels(settings, utc_now()):
        failed += problem is not None
        out.print(f"{name}: {problem or 'sent'}", markup=False)
    if failed:
        err.print("Correct the settings of these channels (docs/alarms.md).")
        sys.exit(1)
