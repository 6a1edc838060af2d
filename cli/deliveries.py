"""Define `nightread deliveries`: list the reports with their destinations and states."""

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
from db.queries import Delivery, DeliveryState
from nightread.nights import nights_of

_STYLES: dict[str, str] = {DeliveryState.DELIVERED: "green", DeliveryState.FAILED: "red", DeliveryState.WAITING: "cyan"}


@click.command("deliveries")
@click.option("--destination", metavar="NAME", help="Only reports for this destination.")
@click.option("--study", metavar="UID", help="Only reports of this study.")
@click.option("--failed", is_flag=True, help="Only reports that failed after all attempts.")
@click.option("--waiting", is_flag=True, help="Only reports that are not sent yet.")
@click.option(
    "--since",
    type=MOMENT,
    metavar="TIME",
    help="Only reports created at or after this time (local time of the site): 2026-11-05 or 2026-11-05T18:00.",
)
@click.option("--until", type=MOMENT, metavar="TIME", help="Only reports created before this time.")
@click.option("--night", metavar="DATE|last", help="Only reports created in the night that began on this date.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@state_options
def deliveries_command(failed: bool, waiting: bool, as_json: bool, **options: Any) -> None:
    """List the reports and whether each destination accepted them.

    The list shows the study, the time, the state, and the reason of a failure. `nightread send-results` sends reports.

    \b
    Examples: nightread deliveries --night last
              nightread deliveries --failed --destination pacs
    """  # noqa: D301 - click reads the backspace itself
    given = {name: options.pop(name) for name in ("destination", "study", "since", "until", "night")}
    settings = settings_from(**options)
    since, until = arrival_bounds(settings, given["since"], given["until"], given["night"])
    wanted = ((DeliveryState.FAILED, failed), (DeliveryState.WAITING, waiting))
    with open_existing_database(settings) as database, one_line_errors():
        found = list(
            queries.deliveries(
                database,
                destination=given["destination"],
                study_instance_uid=given["study"],
                states=tuple(state for state, asked in wanted if asked),
                since=since,
                until=until,
            )
        )
    if as_json:
        print_json([_json(delivery) for delivery in found])
    elif not found:
        out.print("No report matches.")
    else:
        _show(found, lambda moment: f"{nights_of(settings).local(moment):%Y-%m-%d %H:%M}")


def _json(delivery: Delivery) -> dict[str, Any]:
    values = asdict(delivery)
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}


def _show(found: list[Delivery], local: Any) -> None:
    table = make_table(
        out, "made", "study", "destination", "state", "finished", "attempts", "reason", right=["attempts"]
    )
    for delivery in found:
        table.add_row(
            local(delivery.created_at),
            delivery.study_instance_uid,
            Text(delivery.destination),
            Text(delivery.state + (" (revision)" if delivery.replaces else ""), style=_STYLES.get(delivery.state, "")),
            local(delivery.finished_at) if delivery.finished_at else "",
            str(delivery.attempts),
            Text(" ".join(filter(None, (delivery.reason, delivery.detail))), style="dim"),
        )
    show(out, table)
