"""Define `nightread status`: show counts, reasons, speed, expected end, sources and workers."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import click
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from cli.inputs.existing_database import one_line_errors, open_existing_database
from cli.inputs.options import settings_from, state_options
from cli.output.conflict_lines import conflicts_line
from cli.output.console import cell, out, print_json
from cli.output.disk_space import DiskSpace, disk_space
from cli.output.pause_lines import pause_json, paused_lines
from cli.output.postponed_lines import postponed_json, postponed_lines
from cli.output.source_problems import source_json, source_problems
from cli.output.tables import duration, make_table, per_second, show, tally_table
from cli.output.worker_models import worker_model_warnings
from cli.studies import study_lines
from cli.wording import counted
from db import queries
from db.engine import Database
from nightread.clock import utc_now
from nightread.errors import UsageFault
from nightread.nights import Nights, nights_of
from nightread.reasons import Fault
from nightread.settings import Settings

_REFRESH_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """The state of the work at one time."""

    at: datetime
    tally: queries.Tally
    reasons: Sequence[tuple[str, str, str, int]]
    image_remarks: Mapping[str, int]
    pace: queries.Pace
    postponed: Sequence[queries.Postponed]
    """Images that are tried again later; the pace leaves them out."""
    held: int
    """Number of images that wait because their source is paused; the pace leaves them out."""
    oldest_waiting: datetime | None
    batches_published: int
    batches_claimed: int
    workers: Sequence[queries.Worker]
    rules: int
    """Number of routing rules in force."""
    deadline: datetime
    sources: Sequence[queries.Source]
    pauses: Sequence[queries.Pause]
    studies: queries.StudyCounts
    """Counts of the current night, or of the last one."""
    withdrawn: int
    replaced: int
    disk: DiskSpace
    conflicts: int

    @property
    def ready(self) -> int:
        """Return the number of unfinished images that wait neither for a later time nor for a paused source."""
        return _ready(self.tally, self.postponed, self.held)

    @property
    def is_paused(self) -> bool:
        """Return whether the dispatch of all images is paused."""
        return _is_paused(self.pauses)

    @property
    def done_by(self) -> datetime | None:
        """Return the time when the last image is done at the current pace; None if it is unknown."""
        eta = self.pace.eta_seconds
        return self.at + timedelta(seconds=min(eta, _FAR_SECONDS)) if eta is not None else None

    @property
    def oldest_waiting_seconds(self) -> float | None:
        """Return the age of the oldest waiting image, in seconds."""
        return max(0.0, (self.at - self.oldest_waiting).total_seconds()) if self.oldest_waiting else None

    def rejected_for(self, fault: Fault) -> int:
        """Return the number of rejected images whose reason has this class."""
        return sum(images for state, _, of_class, images in self.reasons if state == "rejected" and of_class == fault)

    def to_json(self, settings: Settings) -> dict[str, Any]:
        """Return the object for `--json`; its names are stable."""
        return {
            **self.tally.to_json(),
            "rejected_defective": self.rejected_for(Fault.DEFECTIVE),
            "out_of_scope": self.rejected_for(Fault.OUT_OF_SCOPE),
            "adds_up": self.tally.adds_up,
            "rate_per_second": round(self.pace.per_second, 3),
            "eta_seconds": self.pace.eta_seconds,
            "done_by": self.done_by.isoformat() if self.done_by and self.ready else None,
            "postponed": [postponed_json(group) for group in self.postponed],
            "held": self.held,
            "deadline": self.deadline.isoformat(),
            "oldest_waiting_seconds": self.oldest_waiting_seconds,
            "batches": {"published": self.batches_published, "claimed": self.batches_claimed},
            "workers": [{**asdict(worker), "alive": worker.alive} for worker in self.workers],
            "worker_warnings": list(worker_model_warnings(self.workers, self.rules)),
            "studies": asdict(self.studies),
            "withdrawn": self.withdrawn,
            "replaced": self.replaced,
            "disk": self.disk.to_json(),
            "conflicts": self.conflicts,
            "image_remarks": dict(self.image_remarks),
            "pauses": [pause_json(pause, settings) for pause in self.pauses],
            "sources": [source_json(source) for source in self.sources],
            "reasons": [
                {"state": state, "reason": reason, "class": fault, "images": images}
                for state, reason, fault, images in self.reasons
            ],
        }


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


def take_status(database: Database, settings: Settings, nights: Nights, now: datetime) -> Status:
    """Read from the database everything that `status` shows."""
    tally = queries.tally(database)
    published, claimed = queries.open_batches(database)
    arrival_timeout = timedelta(seconds=settings.arrival_timeout_seconds)
    postponed = queries.postponed(database, now=now, arrival_timeout=arrival_timeout)
    pauses = queries.pauses(database)
    held = queries.held_images(database, [pause.source_id for pause in pauses if pause.source_id is not None])
    ready = _ready(tally, postponed, held)
    return Status(
        at=now,
        tally=tally,
        reasons=queries.reasons(database),
        image_remarks=queries.remarks(database),
        pace=_pace(database, tally, now, ready=ready, is_paused=_is_paused(pauses)),
        postponed=postponed,
        held=held,
        oldest_waiting=queries.oldest_waiting(database) if tally.waiting else None,
        batches_published=published,
        batches_claimed=claimed,
        workers=queries.workers(database, now=now),
        rules=len(queries.routes_in_force(database)),
        deadline=nights.next_end(now),
        sources=queries.sources(database),
        pauses=pauses,
        studies=queries.study_counts(database, since=nights.bounds(nights.latest(now))[0]),
        withdrawn=queries.withdrawn(database),
        replaced=queries.replaced(database),
        disk=disk_space(settings),
        conflicts=queries.conflicts(database),
    )


def _ready(tally: queries.Tally, postponed: Sequence[queries.Postponed], held: int) -> int:
    return max(0, tally.unfinished - held - sum(group.images for group in postponed))


def _is_paused(pauses: Sequence[queries.Pause]) -> bool:
    return any(pause.source_id is None for pause in pauses)


def _pace(database: Database, tally: queries.Tally, now: datetime, *, ready: int, is_paused: bool) -> queries.Pace:
    """Return the pace. It has no end if all dispatch is paused, or if all that is left waits for something else."""
    pace = queries.pace(database, unfinished=ready, now=now)
    # During a pause only open batches are finished, so the pace does not predict the end.
    return replace(pace, eta_seconds=None) if tally.unfinished and (is_paused or not ready) else pace


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


_FAR_SECONDS = 10 * 365 * 86400.0
