"""Define `nightread send-results`: send reports of studies to PACS and DICOMweb stores."""

import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from cli.inputs.existing_database import one_line_errors, open_existing_database
from cli.inputs.options import settings_from, state_options
from cli.inputs.time_range import MOMENT, arrival_bounds
from cli.output.console import err, out, print_json
from cli.output.tables import NOT_FOR_DIAGNOSIS, make_table, show
from cli.service import service
from cli.wording import counted
from db.engine import Database
from db.heartbeat_timer import HeartbeatTimer, sent_heartbeats
from db.ledger import PartKind
from nightread.errors import UsageFault
from nightread.log import set_up_logging
from nightread.nights import nights_of
from nightread.settings import Settings
from nightread.sources import Destination

_LONGEST_REPORT_SECONDS = 600.0
"""`status` says that a sender hangs if one report, with pictures and heat maps, takes longer than this."""

if TYPE_CHECKING:  # `nightread --help` also runs on hosts without pydicom
    from delivery.delivery_loop import DeliveryLoop
    from delivery.report_delivery import DeliveryResult
    from delivery.study_selection import Scope

_STYLES = {"delivered": "green", "failed": "red", "waiting": "cyan"}


@click.command("send-results")
@click.option(
    "--destination",
    "names",
    multiple=True,
    metavar="NAME",
    help="Only this destination [all of the settings]; may be given several times.",
)
@click.option("--study", metavar="UID", help="Only this study, even if images of it arrived just now.")
@click.option("--night", metavar="DATE|last", help="Only studies with results of the night that began on this date.")
@click.option(
    "--since",
    type=MOMENT,
    metavar="TIME",
    help="Only studies with a result at or after this time (local time of the site).",
)
@click.option("--failed", "again", is_flag=True, help="Also send the reports that failed after all attempts.")
@click.option("--dry-run", is_flag=True, help="Show what would be sent, and send nothing.")
@click.option("--follow", is_flag=True, help="Keep running, and report each study when it is ready.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@state_options
def send_results_command(
    names: tuple[str, ...], again: bool, dry_run: bool, follow: bool, as_json: bool, **options: Any
) -> None:
    """Send structured reports of studies to PACS and DICOMweb stores.

    Each of the `destinations` in the settings gets one DICOM SR (TID 1500) per study, and the other objects that its
    `objects` lists: outlined regions (the default), key images, heat maps. A study is ready when all its images have an
    outcome, and either the expected number of images has arrived or no new image arrived for a while. The same content
    is never sent twice. Changed results are sent as a revision that names the earlier report. Exit code 1: a report
    failed or is not sent yet. Install the libraries with `pip install 'nightread[stores]'`.

    \b
    Examples: nightread send-results --dry-run
              nightread send-results --night last --destination pacs
              nightread send-results --follow
    """  # noqa: D301 - click reads the backspace itself
    study, night, since = (options.pop(name) for name in ("study", "night", "since"))
    settings = settings_from(**options)
    destinations = _destinations(settings, names)
    import_module("highdicom")  # before pydicom, so that the error message names the extra that installs both
    warnings.simplefilter("ignore")  # pydicom's warnings quote the headers that it reads
    scope = _scope(settings, study, since, night)
    if follow:
        if dry_run or again or as_json or night or study:
            raise UsageFault("--follow can be combined with --destination and --since only.")
        _follow(settings, destinations, scope)
        return
    set_up_logging(settings.log_format, "ERROR")
    with open_existing_database(settings) as database, one_line_errors():
        results = _once(settings, database, destinations, scope, again=again, dry_run=dry_run)
    _show(results, settings, as_json=as_json, dry_run=dry_run)
    if not dry_run and any(one.state != "delivered" for one in results):
        sys.exit(1)


def _destinations(settings: Settings, names: Sequence[str]) -> list[Destination]:
    if not settings.destinations:
        raise UsageFault(
            'The settings have no destination: add [[destinations]] with kind = "store" (C-STORE) or kind = "stow" '
            "(STOW-RS) to the settings file."
        )
    known = {destination.name: destination for destination in settings.destinations}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UsageFault(f"The settings have no destination {unknown[0]}; known destinations: {', '.join(known)}.")
    return [known[name] for name in names or known]


def _scope(settings: Settings, study: str | None, since: datetime | None, night: str | None) -> "Scope":
    from delivery.study_selection import Scope  # noqa: PLC0415

    if study and (since or night):
        raise UsageFault("--study selects one study: omit --night and --since.")
    begin, end = arrival_bounds(settings, since, None, night)
    return Scope(study_instance_uid=study, since=begin, until=end)


def _follow(settings: Settings, destinations: Sequence[Destination], scope: "Scope") -> None:
    from delivery.delivery_loop import open_delivery_loop  # noqa: PLC0415

    zone = nights_of(settings).zone
    names = [destination.name for destination in destinations]
    detail = {"destinations": names, "round_seconds": _LONGEST_REPORT_SECONDS}
    with (
        service(settings, connections=settings.destinations) as (database, stop),
        open_delivery_loop(settings, database, destinations, scope, zone=zone) as delivery_loop,
        sent_heartbeats(HeartbeatTimer(database, PartKind.SENDER, detail, serves=names)) as timer,
    ):
        delivery_loop.follow(stop, before_each=timer.note_work)


def _once(
    settings: Settings,
    database: Database,
    destinations: Sequence[Destination],
    scope: "Scope",
    *,
    again: bool,
    dry_run: bool,
) -> list["DeliveryResult"]:
    from delivery.delivery_loop import open_delivery_loop  # noqa: PLC0415

    zone = nights_of(settings).zone
    with open_delivery_loop(settings, database, destinations, scope, zone=zone, at_once=True) as delivery_loop:
        studies = delivery_loop.ready()
        if scope.study_instance_uid and not studies:
            raise UsageFault(
                f"Study {scope.study_instance_uid} is not in the database, or has images that are not analysed yet."
            )
        results = list(_deliver_with_progress(delivery_loop, studies, len(destinations), again=again, dry_run=dry_run))
        if delivery_loop.study_selector.unready:
            err.print(f"Not ready yet: {counted(delivery_loop.study_selector.unready, 'study', 'studies')}.")
    return results


def _deliver_with_progress(
    delivery_loop: "DeliveryLoop", studies: Sequence[str], destinations: int, *, again: bool, dry_run: bool
) -> Iterator["DeliveryResult"]:
    columns = (TextColumn("sending"), BarColumn(), MofNCompleteColumn(), TextColumn("studies"))
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("", total=len(studies) * destinations)
        for results in delivery_loop.deliver(studies, again=again, dry_run=dry_run):
            bar.advance(task)
            if results is not None:
                yield results


def _show(results: Sequence["DeliveryResult"], settings: Settings, *, as_json: bool, dry_run: bool) -> None:
    if as_json:
        print_json({"dry_run": dry_run, "reports": [asdict(one) for one in results]})
        return
    if not results:
        out.print("No new report: all reports of ready studies were delivered or failed (see `nightread deliveries`).")
        return
    table = make_table(
        out, "study", "destination", "revision", "images", "state", "reason", right=["revision", "images"]
    )
    for one in results:
        state = "would be sent" if dry_run else one.state
        table.add_row(
            one.study_instance_uid,
            Text(one.destination),
            str(one.revision),
            f"{one.images:,}",
            Text(state, style=_STYLES.get(one.state, "")),
            Text(" ".join(filter(None, (one.reason, one.detail))), style="dim"),
        )
    show(out, table)
    if settings.not_for_diagnosis:
        out.print(Text(NOT_FOR_DIAGNOSIS, style="dim"))
