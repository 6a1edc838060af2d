"""State what each call of the ledger must do to a row of work: the model for the random state machine."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ledger_driver import build_outcome

from db.ledger import Claimed, FurtherPrediction, Outcome, WorkerProcess
from db.tables import FINAL, State
from imaging.facts import Facts
from nightread.reasons import Reason

DEATHS_ALLOWED, EXPIRIES_ALLOWED = 3, 10
DANGEROUS = (Reason.KILLED_WORKER, Reason.TIMEOUT, Reason.OUT_OF_MEMORY)
UNSTORABLE_TEXT = "\ud800"
UIDS = (("1.1", "2.1"), ("1.1", "2.2"), ("1.2", "2.1"))
"""SOP and Series Instance UID by content: one SOP UID occurs in two series, and one series has two images."""
ENDINGS = (
    *["done"] * 4,
    *["further", "unstorable further", "unstorable", "replaced"],
    *["rejected", "failed", "timeout", "out of memory"],
    *["again", "again later", "waits", "again alone"],
)
"""How an analysis may end."""


@dataclass
class ExpectedWork:
    """What the ledger must remember of an image between its batches."""

    attempts: int = 0
    alone: bool = False
    deaths: int = 0
    expiries: int = 0
    tried_since: datetime | None = None

    def claim(self, now: datetime) -> None:
        """Count an attempt; the first one starts the time in which the image may be retried."""
        self.attempts += 1
        self.tried_since = self.tried_since or now

    def change_file(self) -> None:
        """Forget the attempts for the older bytes."""
        self.attempts, self.tried_since = 0, None

    def retry(self, reason: str) -> None:
        """Forget everything, except that the image is marked `alone`; a dangerous one does so from now on."""
        dangerous = reason in DANGEROUS
        self.attempts = self.deaths = self.expiries = 0
        self.alone, self.tried_since = self.alone or dangerous, None

    def end(self, ending: str) -> None:
        """Apply the outcome of one analysis."""
        if ending == "waits":
            self.attempts, self.tried_since = self.attempts - 1, None
        self.alone |= ending in ("again alone", "out of memory")

    def expire(self) -> State:
        """Count an expired lease; return the state that follows."""
        self.expiries, self.alone = self.expiries + 1, True
        return State.FAILED if self.expiries >= EXPIRIES_ALLOWED else State.RECEIVED

    def die(self, *, suspected: bool | None) -> State:
        """Apply the death of the process that held the image; return the state that follows.

        `suspected` tells whether the process worked on this image when it died; None if nobody knows.
        """
        if suspected is False:
            return State.RECEIVED
        travelled_alone, self.alone = self.alone, True
        self.deaths += travelled_alone or bool(suspected)
        return State.FAILED if travelled_alone and self.deaths >= DEATHS_ALLOWED else State.RECEIVED


def row_that_follows(uri: str, unfinished: Sequence[Any], instances: Sequence[Any]) -> list[int]:
    """Return the id of the row of work that follows a changed file: the newest one whose file was not replaced."""
    here = {row.id: row for row in instances if row.uri == uri}
    rows = [row for row in unfinished if row.instance_id in here]
    rows.sort(key=lambda row: (here[row.instance_id].replaced_by is None, row.instance_id))
    return [row.id for row in rows[-1:]]


@dataclass(frozen=True)
class Delivery:
    """A claimed batch: its images, and the process that claimed it."""

    images: Sequence[Claimed]
    process: WorkerProcess


def number_of(uri: str) -> int:
    """Return the number of the UIDs that the file at this place has."""
    return int(uri.removesuffix(".dcm")) % len(UIDS)


def outcome_that(ending: str, image: Claimed, bundle_id: int, later: datetime) -> Outcome:
    """Build the outcome. Files with the same size and number modulo 3 have equal bytes and equal UIDs."""
    number = number_of(image.uri)
    sop_instance_uid, series_instance_uid = UIDS[number]
    facts = Facts(sop_instance_uid=sop_instance_uid, series_instance_uid=series_instance_uid)
    fields: dict[str, Any] = {"content": f"{number}{image.size}" * 32, "facts": facts, **_fields(ending, later)}
    if ending in ("further", "unstorable further"):
        label = UNSTORABLE_TEXT if ending == "unstorable further" else "nodule"
        fields["further"] = (FurtherPrediction(bundle_id=bundle_id, shadow=False, label=label),)
    if ending == "replaced":
        fields["size"] = image.size + 1
    if fields.get("state") is State.RECEIVED:
        fields |= {"content": None, "facts": Facts()}
    return build_outcome(image, **fields)


def _fields(ending: str, later: datetime) -> dict[str, Any]:
    again: dict[str, Any] = {"state": State.RECEIVED, "reason": Reason.IO_ERROR}
    failed: dict[str, Any] = {"state": State.FAILED, "content": None}
    return {
        "rejected": {"state": State.REJECTED, "reason": Reason.TRUNCATED},
        "failed": {**failed, "reason": Reason.IO_ERROR},
        "timeout": {**failed, "reason": Reason.TIMEOUT},
        "out of memory": {**failed, "reason": Reason.OUT_OF_MEMORY, "alone": True},
        "unstorable": {"label": UNSTORABLE_TEXT},
        "again": again,
        "again later": {**again, "not_before": later},
        "again alone": {**again, "alone": True},
        "waits": {**again, "reason": Reason.SOURCE_GONE, "uncounted": True, "not_before": later},
    }.get(ending, {})


def allowed_states(ending: str) -> tuple[State, ...]:
    """Return the states that a row may have after this ending."""
    if ending in ("done", "further", "unstorable further"):
        return State.DONE, State.DUPLICATE
    if ending == "unstorable":  # the refused label is not stored with a duplicate
        return State.FAILED, State.DUPLICATE
    if ending == "rejected":
        return (State.REJECTED,)
    return (State.FAILED,) if ending in ("failed", "timeout", "out of memory") else (State.RECEIVED,)


def assert_consistent(row: Any) -> None:
    """Check which columns a row has in its state."""
    assert (row.finished_at is not None) == (row.state in FINAL)
    assert (row.lease_until is not None) == (row.state == State.RUNNING)
    assert (row.batch_id is None) == (row.state == State.RECEIVED)
    assert (row.duplicate_of is not None) == (row.state == State.DUPLICATE)
    assert (row.score is not None) == (row.state == State.DONE)


def is_early(row: Any, now: datetime) -> bool:
    """Return whether the image of a row of work waits for a later time."""
    return row.not_before is not None and row.not_before > now
