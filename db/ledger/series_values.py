"""Define the values that pass through the ledger of series."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from nightread.reasons import Reason


class SeriesState(StrEnum):
    """The state of one series (docs/decisions/0036-series-as-a-unit.md)."""

    COLLECTING = "collecting"
    """A slice got an outcome, and more may come."""
    DUE = "due"
    FORMING = "forming"
    FORMED = "formed"
    FAILED = "failed"


class DueCause(StrEnum):
    """Why a series is formed now."""

    COMPLETE = "complete"
    """All images of its study are there and have an outcome."""
    QUIET = "quiet"
    """The number of images is unknown, and no slice got an outcome for a while."""
    WAITED = "waited"
    """Images of its study are missing, and no slice got an outcome for a long time."""
    DEADLINE = "deadline"
    """The night ended."""
    ASKED = "asked"
    """A person or a command asked to form the series."""


PARTIAL_CAUSES = frozenset((DueCause.WAITED, DueCause.DEADLINE))


class CollectingSeries(NamedTuple):
    """One series that collects slices, as the dispatcher sees it."""

    id: int
    study_instance_uid: str
    began_at: datetime
    changed_at: datetime


class ClaimedSeries(NamedTuple):
    """One series that this process forms."""

    id: int
    series_instance_uid: str
    study_instance_uid: str
    cause: DueCause
    claim: str


class StackPlace(NamedTuple):
    """One place of a stack: a frame of a slice, and its score for the label of the stack, if it has a score."""

    image_id: int
    frame: int
    score: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class SeriesResult:
    """The result of one bundle for one stack of a series, or the reason why it has none."""

    bundle_id: int
    stack: int
    """Number of the stack, from 1; 0 if the series as a whole has no result."""
    stack_name: str | None = None
    reason: Reason | None = None
    """Why the stack has no result; None if it has one."""
    detail: str | None = None
    label: str | None = None
    score: float | None = None
    suspicion: float | None = None
    scores: list[float] | None = None
    slices: int = 0
    """Slices with a score."""
    of_slices: int = 0
    """Slices that arrived, without localizers and duplicates."""
    partial: bool = False
    remarks: str | None = None
    places: Sequence[StackPlace] = ()
    evidence: Sequence[int] = ()
    """Numbers (from 1) of the places that support the label, the strongest first."""
    shadow: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class FormedSeries:
    """A claimed series with its results."""

    claimed: ClaimedSeries
    results: Sequence[SeriesResult] | None
    """The results to store. None if the stored results stay, because the images in `released` will change them
    later."""
    patient_keys: frozenset[str]
    """Keys of the patients of its slices; if a patient has opted out, no result is stored."""
    released: Sequence[int] = ()
    """Images that waited for the order of their series, and may be dispatched again now."""
    stored_order: Mapping[str, Any] | None = None
    """The order of the slices, as db.queries.series_order reads it; None if no images are released."""
