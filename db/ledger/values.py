"""Define the values that the ledger takes and returns."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple

from db.tables import State
from imaging.facts import NO_FACTS, Facts
from nightread.reasons import Fault, Reason


class CallingEntity(NamedTuple):
    """Who sent an image to a receiver or to the HTTP API."""

    calling_ae: str
    address: str
    trust: str | None = None
    """Trust group of the entry of `callers` that allows the sender. None means the group of the receiver, and NO_GROUP
    means no group even if the receiver has one."""


NO_GROUP = ""


def unknown_sender(mark: str) -> CallingEntity:
    """Return the sender of images whose receiver died before it stored who sent them.

    `mark` distinguishes unknown senders where possible. They are in no trust group, because the settings may give some
    callers another group than the receiver.
    """
    return CallingEntity(calling_ae="", address=mark, trust=NO_GROUP)


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrival:
    """One file or object that came in: its place, size and modification time."""

    uri: str
    """Path below the source's root, percent-encoded from its bytes; or a URL."""
    size: int
    mtime_ns: int
    member_name: str | None = None
    """Name of the file inside the archive from which it was unpacked, as readable text."""
    sender: CallingEntity | None = None
    """Who sent the image to a receiver or to the HTTP API; None for images of other sources."""
    priority: int | None = None
    """The priority of this image; None if it has the priority of all images that are registered together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Registered:
    """The number of new and of changed arrivals."""

    new: int
    changed: int
    """Unfinished images that now describe the newer file at the same place."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerProcess:
    """Identifies a slot of a running worker. The process that replaces a dead one has the same three values."""

    node: str
    boot_id: str
    index: int


class Claimed(NamedTuple):
    """One image to analyse, as the ledger knows it. Its fields have the order of `claims.SELECT_CLAIMED`."""

    work_id: int
    instance_id: int
    source: str
    root: str
    uri: str
    size: int
    mtime_ns: int
    attempts: int
    """The number of claims, including this one."""
    alone: bool
    arrived_at: datetime
    tried_since: datetime
    """Time of the first claim since the image arrived, since its file changed, or since `nightread retry`."""
    marked: bool
    """True if a missing nightread.paths.ROOT_MARKER means that the folder of the source is unavailable."""
    origin: str = ""
    """Name of the source; for a member of an archive, the source of the outermost archive."""
    rerun_bundle_id: int | None = None
    """The bundle of a re-run, whose result becomes a further row (db.ledger.reruns); None for the first analysis."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Members:
    """The files that came out of an archive, and the source to which they belong."""

    source_id: int
    arrivals: tuple[Arrival, ...]


ReportedBy = Literal["store", "manifest", "header"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """The number of instances of a study, as one source reported it."""

    study_instance_uid: str
    source_id: int
    reported_by: ReportedBy
    images: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Withdrawal:
    """Images that one note rejects (IHE Imaging Object Change Management; DICOM PS3.16, CID 7010)."""

    study_instance_uid: str
    """The study of the note itself: it cannot reject images of other studies."""
    code: str
    sop_instance_uids: tuple[str, ...]


class Conflict(NamedTuple):
    """Two arrivals from sources that do not trust each other: neither replaces or withdraws the other's result."""

    image_id: int
    other_id: int
    """Another version of the image, or the key object note that names it."""
    kind: Literal["version", "withdrawal"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Annotations:
    """The annotations of one file: facts about other arrivals. Fields without a fact are empty."""

    members: Members | None = None
    reported_by: ReportedBy = "header"
    counts: Mapping[str, int] = field(default_factory=dict)
    """Study Instance UID -> number of its instances."""
    withdrawal: Withdrawal | None = None


class FramePrediction(NamedTuple):
    """The result of a network for one frame."""

    frame: int
    label: str | None
    score: float
    scores: list[float]
    """Scores in the order of the bundle's labels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FurtherPrediction:
    """The result of a further bundle for an image, or the reason why it has none."""

    bundle_id: int
    shadow: bool
    """True for a shadow result, which is shown only on request."""
    route_id: int | None = None
    matched: dict[str, str] | None = None
    label: str | None = None
    score: float | None = None
    scores: list[float] | None = None
    frames: tuple[FramePrediction, ...] = ()
    reason: Reason | None = None
    remarks: str | None = None
    intensities: int | None = None
    """The intensities of the prepared input (nightread.drift.levels)."""
    detail: str | None = None
    """The sentences of the remarks, or what the reason means for this image."""

    @property
    def state(self) -> State:
        """Return the final state that the row of this prediction has."""
        if self.reason is None:
            return State.DONE
        return State.FAILED if self.reason.fault is Fault.FAILED else State.REJECTED


class Outcome(NamedTuple):
    """The result of one image. The state `received` means: try again, not before `not_before`."""

    work_id: int
    instance_id: int
    state: State
    reason: Reason | None = None
    detail: str | None = None
    not_before: datetime | None = None
    alone: bool = False
    """True if it must be alone in its batch when it is retried."""
    uncounted: bool = False
    """True if the attempt does not count, because nothing failed: the image only waits, for example for its source."""
    content: str | None = None
    size: int | None = None
    mtime_ns: int | None = None
    """Size and modification time of the bytes that were read. If the state is `received`, they are the size
    and time of the present file."""
    facts: Facts = NO_FACTS
    duplicate_of: int | None = None
    bundle_id: int | None = None
    label: str | None = None
    score: float | None = None
    scores: list[float] | None = None
    frames: tuple[FramePrediction, ...] = ()
    route_id: int | None = None
    matched: dict[str, str] | None = None
    """The header values that the rule `route_id` matched. Both fields are None if `--model` chose the bundle."""
    further: tuple[FurtherPrediction, ...] = ()
    """The results of other bundles for the same image."""
    remarks: str | None = None
    """The words of the remarks on a result, separated by spaces; `detail` then holds their sentences."""
    intensities: int | None = None
    """The intensities of the prepared input (nightread.drift.levels)."""
    annotations: Annotations | None = None
    """Facts about other arrivals, which are applied if the outcome is final."""
