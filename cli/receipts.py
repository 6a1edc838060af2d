"""Define `nightread receipts`: list what each sender sent by C-STORE, and the responses."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import click
from rich.text import Text

from cli.inputs.existing_database import one_line_errors, open_existing_database
from cli.inputs.options import settings_from, state_options
from cli.inputs.time_range import MOMENT, arrival_bounds
from cli.output.console import out, print_json
from cli.output.tables import make_table, show
from db import queries
from db.queries import Association, Sender
from nightread.nights import Nights, nights_of

_COUNTS = ("received", "refused", "failed")
_LEGEND = (
    "received: acknowledged and in the database. refused: not enough disk space (status A7xx). failed: see the status. "
    "Refused and failed images are still at the sender. over_quota: images that were refused because their sender has "
    "used its quota of the spool. Other words under `statuses` count associations: rejected, aborted, lost, too_slow, "
    "unsupported (only other services were proposed), incomplete (ended within an image)."
)


@click.command("receipts")
@click.option("--source", help="Only associations of this receiver.")
@click.option(
    "--since",
    type=MOMENT,
    metavar="TIME",
    help="Only associations that began at or after this time (local time of the site): 2026-11-05 or 2026-11-05T18:00.",
)
@click.option("--until", type=MOMENT, metavar="TIME", help="Only associations that began before this time.")
@click.option("--night", metavar="DATE|last", help="Only associations that began in the night that began on this date.")
@click.option("--each", is_flag=True, help="List each association instead of sums by sender.")
@click.option("--json", "as_json", is_flag=True, help="Print sums and associations as JSON.")
@state_options
def receipts_command(each: bool, as_json: bool, **options: Any) -> None:
    """List what was received by C-STORE, by sender.

    For each calling AE title: the numbers of associations, of received, refused and failed images, and the statuses of
    the responses.

    \b
    Examples: nightread receipts --night last
              nightread receipts --since 2026-11-05 --each
              nightread receipts --json | jq '.senders[] | select(.refused > 0)'
    """  # noqa: D301 - click reads the backspace itself
    source, since, until, night = (options.pop(name) for name in ("source", "since", "until", "night"))
    settings = settings_from(**options)
    since, until = arrival_bounds(settings, since, until, night)
    with open_existing_database(settings) as database, one_line_errors():
        found = queries.associations(database, since=since, until=until, source=source)
    if as_json:
        print_json(
            {"senders": [_json(sender) for sender in queries.senders(found)], "associations": [*map(_json, found)]}
        )
    elif not found:
        out.print("No sender opened an association in this time range.")
    elif each:
        _show_each(found, nights_of(settings))
    else:
        _show_senders(queries.senders(found), nights_of(settings))


def _json(found: Association | Sender) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(found).items()}


def _show_senders(senders: Sequence[Sender], nights: Nights) -> None:
    table = make_table(
        out, "sender", "receiver", "associations", *_COUNTS, "statuses", "latest", right=["associations", *_COUNTS]
    )
    for sender in senders:
        table.add_row(
            Text(sender.calling_ae),
            Text(sender.source),
            f"{sender.associations:,}" + (f" ({sender.open:,} open)" if sender.open else ""),
            *_counts(sender),
            _statuses(sender.statuses),
            f"{nights.local(sender.latest_at):%Y-%m-%d %H:%M}",
        )
    show(out, table)
    out.print(Text(_LEGEND, style="dim"))


def _show_each(found: Sequence[Association], nights: Nights) -> None:
    table = make_table(out, "began", "ended", "sender", "address", "receiver", *_COUNTS, "statuses", right=_COUNTS)
    for association in found:
        ended = nights.local(association.ended_at) if association.ended_at else None
        table.add_row(
            f"{nights.local(association.began_at):%Y-%m-%d %H:%M:%S}",
            f"{ended:%H:%M:%S}" if ended else "open",
            Text(association.calling_ae),
            association.address,
            Text(association.source),
            *_counts(association),
            _statuses(association.statuses),
        )
    show(out, table)
    out.print(Text(_LEGEND, style="dim"))


def _counts(found: Association | Sender) -> list[Text]:
    bad = {"refused": "yellow", "failed": "red"}
    return [
        Text(f"{getattr(found, name):,}", style=bad.get(name, "") if getattr(found, name) else "") for name in _COUNTS
    ]


def _statuses(statuses: Mapping[str, int]) -> str:
    return ", ".join(f"{status} x {times:,}" for status, times in sorted(statuses.items()))
