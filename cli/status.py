"""Define `nightread status`: show counts, reasons, speed, expected end, sources and workers."""

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import click
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from api.pause_lines import paused_lines
from api.postponed_lines import postponed_lines
from api.source_problems import source_problems
from api.status import Status, take_status
from api.worker_models import worker_model_warnings
from cli.inputs.existing_database import one_line_errors, open_existing_database
from cli.inputs.options import settings_from, state_options
from cli.output.conflict_lines import conflicts_line
from cli.output.console import cell, out, print_json
from cli.output.tables import make_table, show, tally_table
from cli.studies import study_lines
from cli.wording import counted
from db import queries
from db.engine import Database
from nightread.clock import utc_now
from nightread.errors import UsageFault
from nightread.nights import Nights, nights_of
from nightread.settings import Settings
from nightread.wording import duration, per_second

_REFRESH_SECONDS = 2.0


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--watch", is_flag=True, help="Refresh every two seconds until Ctrl-C.")
@state_options
def status_command(as_json: bool, watch: bool, **options: Any) -> None:
    """Show counts, speed, expected end, sources and workers.

    \b
    Examples: nightread status
              nightread status --watch
              nightread status --json | jq .eta_seconds
    """  # noqa: D301 - click reads the backspace itself
    if as_json and watch:
        raise UsageFault("--json and --watch cannot be combined: omit one of them.")
    settings = settings_from(**options)
    nights = nights_of(settings)
    with open_existing_database(settings) as database, one_line_errors():
        if watch:
            _watch(database, settings, nights)
        elif as_json:
            print_json(take_status(database, settings, nights, utc_now()).to_json(settings))
        else:
            show(out, _as_text(take_status(database, settings, nights, utc_now()), settings, nights))


def _watch(database: Database, settings: Settings, nights: Nights) -> None:
    with Live(console=out, auto_refresh=False, screen=out.is_terminal) as live:
        while True:
            status = take_status(database, settings, nights, utc_now())
            live.update(_as_text(status, settings, nights), refresh=True)
            time.sleep(_REFRESH_SECONDS)


def _as_text(status: Status, settings: Settings, nights: Nights) -> RenderableType:
    paused = [Text(line, style="bold red") for line in paused_lines(status.pauses, settings, nights)]
    parts = [tally_table(out, status.tally, status.reasons, status.image_remarks), *paused, *_lines(status, nights)]
    if status.workers:
        parts.append(_workers(status.workers))
    return Group(*(cell(part) if isinstance(part, Text) else part for part in parts))


def _lines(status: Status, nights: Nights) -> list[RenderableType]:
    lines: list[RenderableType] = [_forecast(status, nights)]
    lines.extend(Text(line, style="cyan") for line in postponed_lines(status.postponed, status.at, nights))
    if status.oldest_waiting_seconds is not None:
        lines.append(Text(f"The oldest waiting image arrived {duration(status.oldest_waiting_seconds)} ago."))
    if status.batches_published or status.batches_claimed:
        lines.append(Text(f"Batches: {status.batches_published} published, {status.batches_claimed} being analysed."))
    lines.extend(Text(line, style=style) for line, style in study_lines(status.studies, status.withdrawn))
    if status.conflicts:
        lines.append(Text(conflicts_line(status.conflicts), style="bold yellow"))
    if status.replaced:
        lines.append(Text(_replaced_line(status.replaced)))
    if not any(worker.alive for worker in status.workers):
        lines.append(_no_worker(status))
    lines.extend(Text(warning, style="yellow") for warning in worker_model_warnings(status.workers, status.rules))
    if status.disk.is_low:
        lines.append(Text(status.disk.line, style="yellow"))
    for source in status.sources:
        lines.extend(
            Text(f"Source {source.name}: {problem}{'' if problem.endswith('?') else '.'}", style="yellow")
            for problem in source_problems(source, status.at)
        )
    if not status.tally.adds_up:
        lines.append(Text("The counts do not add up: run `nightread audit`.", style="bold red"))
    return lines


def _replaced_line(number: int) -> str:
    were, stay = ("file was", "its result stays") if number == 1 else ("files were", "their results stay")
    return f"{number:,} {were} replaced by another file of the same name; {stay} (`nightread query --replaced`)."


def _no_worker(status: Status) -> Text:
    if status.tally.unfinished:
        return Text("No worker is running: start `nightread up` or `nightread worker`.", style="bold yellow")
    return Text("No worker is running.", style="dim")


def _forecast(status: Status, nights: Nights) -> Text:
    if status.tally.unfinished == 0:
        return Text("Nothing to do: every image has its outcome.")
    if status.is_paused:
        number = counted(status.tally.unfinished, "image is", "images are")
        return Text(f"{number} unfinished; dispatch is paused.", style="bold yellow")
    if status.ready == 0 and status.held:
        number = counted(status.held, "image waits", "images wait")
        return Text(f"{number} for a paused source; all others have their outcome or wait for a later time.")
    if status.ready == 0:
        return Text("Nothing to do now: every image has its outcome or waits for a later time.")
    number = counted(status.ready, "image is", "images are")
    deadline = nights.local(status.deadline)
    if status.done_by is None:
        text = f"{number} unfinished; no image was finished in the last minute."
        return Text(text, style="bold yellow")
    left = duration(status.pace.eta_seconds or 0)
    late = status.done_by > status.deadline
    text = (
        f"{number} unfinished. At {per_second(status.pace.per_second)}, all will be done in {left}, "
        f"by {_clock(nights.local(status.done_by), status)} (deadline {deadline:%H:%M})."
    )
    return Text(text, style="bold red" if late else "green")


def _clock(moment: datetime, status: Status) -> str:
    far = moment - status.at > timedelta(hours=20)
    return f"{moment:%a %d %b %H:%M}" if far else f"{moment:%H:%M}"


def _workers(workers: Sequence[queries.Worker]) -> RenderableType:
    table = make_table(out, "worker", "processes", "device", "model", "last seen", right=["processes"])
    for worker in workers:
        ago = f"{duration(worker.heartbeat_seconds)} ago" + ("" if worker.alive else " (no heartbeat)")
        table.add_row(
            Text(worker.node),
            str(worker.slots),
            Text(worker.device),
            Text(worker.model or "by rules"),
            Text(ago, style="" if worker.alive else "red"),
        )
    return table
