"""Say what needs attention in a period: what is stopped, late, missing or failed, and where to look."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from api.pages.forecast import Forecast
from api.pages.links import images_link, path_link
from api.pages.period import Period
from api.pages.words import counted, duration
from db.queries import IncompleteStudy, Pause, Tally, Worker
from nightread.reasons import Fault, Reason

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
    """What holds now, and not in a period of the past."""

    workers: Sequence[Worker]
    pauses: Sequence[Pause]
    problems: Sequence[tuple[Kind, str]]
    """Sentences about sources, disks and services."""


def attention(
    period: Period,
    tally: Tally,
    reasons: Sequence[tuple[str, int]],
    *,
    forecast: Forecast,
    incomplete: Sequence[IncompleteStudy],
    present: Present | None,
) -> Iterator[Attention]:
    """Yield what needs attention, the most urgent first; `present` is None for a period of the past."""
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
        yield Attention(kind="stopped", text="The counts do not add up: run `nightread audit`.", link=link)


def _of_the_present(present: Present, tally: Tally) -> Iterator[Attention]:
    alive = [worker for worker in present.workers if worker.alive]
    if tally.unfinished and not alive:
        yield Attention(kind="stopped", text="No worker is running: start `nightread up` or `nightread worker`.")
    for worker in present.workers:
        if not worker.alive:
            ago = duration(worker.heartbeat_seconds)
            yield Attention(kind="stopped", text=f"The worker {worker.node} sent its last heartbeat {ago} ago.")
    for pause in present.pauses:
        what = f"The source {pause.source} is paused" if pause.source else "Dispatch is paused"
        yield Attention(kind="paused", text=f"{what} by {pause.actor}. {pause.detail}".rstrip())
    for kind, sentence in present.problems:
        yield Attention(kind=kind, text=sentence)


def _missing(incomplete: Sequence[IncompleteStudy]) -> Attention:
    images = sum(study.missing for study in incomplete)
    studies = counted(len(incomplete), "study is", "studies are")
    return Attention(
        kind="missing",
        text=f"{studies} incomplete: {counted(images, 'image')} did not arrive.",
        link="#studies",
        link_text="which",
    )


def is_past(period: Period, now: datetime) -> bool:
    """Return whether the period is over."""
    return period.until <= now


_DEFECTIVE = {reason.value for reason in Reason if reason.fault is Fault.DEFECTIVE}
