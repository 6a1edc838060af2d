"""Say what needs attention in a period: what is stopped, late, missing or failed, and where to look."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from api.pages.forecast import Forecast
from api.pages.links import images_link, path_link
from api.pages.period import Period
from api.pause_lines import paused_lines
from api.postponed_lines import postponed_lines
from api.worker_models import worker_model_warnings
from db import queries
from db.condition import Level, part_problems, read_parts
from db.condition.source_problems import source_problems
from db.engine import Database
from db.ledger import PartKind
from db.queries import IncompleteStudy, Tally, Worker
from nightread.nights import Nights
from nightread.reasons import Fault, Reason
from nightread.settings import Settings
from nightread.wording import counted, duration
from producer.dispatcher.disk_space import disk_space

Kind = Literal["stopped", "paused", "late", "failed", "missing", "defective", "note"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Attention:
    """One thing that a person should look at."""

    kind: Kind
    """The word in front of the sentence; it also chooses the colour."""
    text: str
    link: str | None = None
    link_text: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Present:
    """The present problems. They are shown for the latest period and for periods with unfinished images."""

    workers: Sequence[Worker]
    problems: Sequence[tuple[Kind, str]]
    """Sentences about pauses, sources, disks and models, each with its kind."""


def present_state(database: Database, settings: Settings, nights: Nights, now: datetime) -> Present:
    """Read the present problems, in the words of `nightread status`."""
    found = queries.workers(database, now=now)
    problems = [*_parts(database, settings, now), *_pauses(database, settings, nights), *_sources(database, now)]
    space = disk_space(settings)
    if space.is_low:
        problems.append(("stopped", space.line))
    rules = len(queries.routes_in_force(database))
    problems.extend(("note", sentence) for sentence in worker_model_warnings(found, rules))
    arrival_timeout = timedelta(seconds=settings.arrival_timeout_seconds)
    postponed = queries.postponed(database, now=now, arrival_timeout=arrival_timeout)
    problems.extend(("note", sentence) for sentence in postponed_lines(postponed, now, nights))
    return Present(workers=found, problems=problems)


def _parts(database: Database, settings: Settings, now: datetime) -> Iterator[tuple[Kind, str]]:
    """Yield a sentence for each part that sent heartbeats before and does not work now. Workers are left out."""
    parts = read_parts(database, settings, now=now)
    for problem in part_problems([part for part in parts if part.node is not None]):
        if problem.subject != PartKind.WORKER:
            kind: Kind = "stopped" if problem.level is Level.STOPPED else "note"
            yield kind, f"{problem.text[0].upper()}{problem.text[1:]}."


def _pauses(database: Database, settings: Settings, nights: Nights) -> Iterator[tuple[Kind, str]]:
    for pause in queries.pauses(database):
        yield "paused", " ".join(paused_lines([pause], settings, nights))


def _sources(database: Database, now: datetime) -> Iterator[tuple[Kind, str]]:
    for source in queries.sources(database):
        for problem in source_problems(source, now):
            yield "stopped", f"Source {source.name}: {problem}{'' if problem.endswith('?') else '.'}"


def attention(
    period: Period,
    tally: Tally,
    reasons: Sequence[tuple[str, int]],
    *,
    forecast: Forecast,
    incomplete: Sequence[IncompleteStudy],
    present: Present | None,
) -> Iterator[Attention]:
    """Yield what needs attention, the most urgent first.

    `present` is None for an earlier period whose images all have their outcome.
    """
    if present is not None:
        yield from _of_the_present(present, tally)
    if forecast.is_late:
        yield Attention(kind="late", text=forecast.text)
    if tally.failed:
        link = path_link("/failures", period.filter)
        number = counted(tally.failed, "image", "images")
        yield Attention(kind="failed", text=f"{number} failed.", link=link, link_text="reasons and retry")
    defective = sum(images for reason, images in reasons if reason in _DEFECTIVE)
    if defective:
        number = counted(defective, "file is", "files are")
        link = path_link("/failures", period.filter)
        yield Attention(kind="defective", text=f"{number} defective.", link=link, link_text="reasons")
    if incomplete:
        yield _missing(incomplete)
    if not tally.adds_up:
        link = images_link(**period.filter)
        yield Attention(
            kind="stopped", text="The counts do not add up: run `nightread audit`.", link=link, link_text="the images"
        )


def _of_the_present(present: Present, tally: Tally) -> Iterator[Attention]:
    alive = [worker for worker in present.workers if worker.alive]
    if tally.unfinished and not alive:
        yield Attention(kind="stopped", text="No worker is running: start `nightread up` or `nightread worker`.")
    for worker in present.workers:
        if not worker.alive:
            ago = duration(worker.heartbeat_seconds)
            yield Attention(kind="stopped", text=f"The worker {worker.node} sent its last heartbeat {ago} ago.")
    for kind, sentence in present.problems:
        yield Attention(kind=kind, text=sentence)


def _missing(incomplete: Sequence[IncompleteStudy]) -> Attention:
    images = sum(study.missing for study in incomplete)
    studies = counted(len(incomplete), "study is", "studies are")
    return Attention(
        kind="missing",
        text=f"{studies} incomplete: {counted(images, 'image has', 'images have')} not arrived.",
        link="#studies",
        link_text="show them",
    )


def is_past(period: Period, now: datetime) -> bool:
    """Return whether the period is over."""
    return period.until <= now


_DEFECTIVE = {reason.value for reason in Reason if reason.fault is Fault.DEFECTIVE}
