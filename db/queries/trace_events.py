"""Describe what happened to an image as events.

Each event has a time if it is known, a kind (`What`, whose values never change), a sentence for people, and the values
in that sentence.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Row

from db.tables import UNFINISHED, State
from nightread.reasons import Reason


class What(StrEnum):
    """The kinds of events. Programs rely on the values, so they do not change."""

    ARRIVED = "arrived"
    ARRIVED_ELSEWHERE = "arrived_elsewhere"
    REPLACES = "replaces"
    REPLACED = "replaced"
    FIRST_CLAIMED = "first_claimed"
    BATCH_FORMED = "batch_formed"
    CLAIMED = "claimed"
    WAITING = "waiting"
    OUTCOME = "outcome"
    FURTHER_RESULT = "further_result"
    UNPACKED = "unpacked"
    SUPERSEDES = "supersedes"
    SUPERSEDED = "superseded"
    WITHDRAWS = "withdraws"
    WITHDRAWN = "withdrawn"
    CONFLICT = "conflict"
    REPORT_CREATED = "report_created"
    REPORT_DELIVERED = "report_delivered"
    REPORT_FAILED = "report_failed"
    PURGED = "purged"
    AUDIT = "audit"


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Something that happened to an image."""

    at: datetime | None
    """Time with time zone; None if the database does not keep it, or if the event has not happened yet."""
    what: What
    detail: str
    """One or two complete sentences for people, without text of the header or of the path."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """The values in `detail` by stable names. Times are datetimes with time zone; JSON can hold all other values."""


def arrival_events(row: Row[Any]) -> Iterator[Event]:
    """Yield how the image arrived, from its row of `instances` with its source and sender."""
    sender = {"calling_ae": row.calling_ae, "address": row.address} if row.calling_ae is not None else None
    values = {"source": row.source, "kind": row.kind, "size": row.size, "sender": sender, "parent_id": row.parent_id}
    whence = f", sent by {sender['calling_ae']} from {sender['address']}" if sender else ""
    unpacked = f" It was unpacked from archive {row.parent_id}." if row.parent_id is not None else ""
    detail = f"It arrived at the source {row.source} ({row.kind}){whence}, with {row.size:,} bytes.{unpacked}"
    yield Event(at=row.arrived_at, what=What.ARRIVED, detail=detail, values=values)


def purge_events(row: Row[Any]) -> Iterator[Event]:
    """Yield the purge of the image, if it was purged, from its row of `instances`."""
    if row.purged_at is not None:
        yield Event(at=row.purged_at, what=What.PURGED, detail="It was purged: only its count and its times are left.")


def analysis_events(row: Row[Any]) -> Iterator[Event]:
    """Yield batch, claim and outcome of the first row of work, from the row with its batch and bundle."""
    if row.tried_since is not None and row.tried_since != row.claimed_at:
        detail = "A worker process claimed it for the first time."
        yield Event(at=row.tried_since, what=What.FIRST_CLAIMED, detail=detail)
    yield from _batch(row)
    if row.state in UNFINISHED:
        yield from _waiting(row)
    else:
        yield outcome_event(row)


def further_events(row: Row[Any]) -> Iterator[Event]:
    """Yield the outcome of a further row of work, or that the row still waits."""
    if row.state in UNFINISHED:
        yield from _waiting(row)
    else:
        yield outcome_event(row)


def outcome_event(row: Row[Any]) -> Event:
    """Return the outcome of a row of work: the answer if it is the first row, else a further result."""
    values = {
        "state": row.state,
        "reason": row.reason,
        "label": row.label,
        "score": row.score,
        "model": row.model,
        "model_version": row.model_version,
        "model_digest": row.digest,
        "duplicate_of": row.duplicate_of,
        "attempts": row.attempts,
        "deaths": row.deaths,
        "expired_leases": row.expiries,
        "route_id": row.route_id,
        "shadow": bool(row.shadow),
        "batch": row.batch_id,
        "message": row.detail,
    }
    what = What.OUTCOME if row.ordinal == 0 else What.FURTHER_RESULT
    return Event(at=row.finished_at, what=what, detail=_outcome_sentence(row), values=values)


def delivery_events(row: Row[Any], revision: int) -> Iterator[Event]:
    """Yield that a report of the image's study was created, and how its delivery ended, or that it still waits."""
    to = {"destination": row.destination, "revision": revision}
    report = f"report of its study for {row.destination} (revision {revision})"
    yield Event(at=row.created_at, what=What.REPORT_CREATED, detail=f"A {report} was created.", values=to)
    ended = {**to, "state": row.state, "reason": row.reason, "attempts": row.attempts, "message": row.detail}
    why = f" ({row.reason})" if row.reason else ""
    attempts = _counted(row.attempts, "attempt")
    if row.state == "waiting":
        detail = f"The {report} was not delivered yet, after {attempts}{why}."
        yield Event(at=None, what=What.WAITING, detail=detail, values=ended)
    elif row.state == "delivered":
        detail = f"The {report} was delivered, after {attempts}."
        yield Event(at=row.finished_at, what=What.REPORT_DELIVERED, detail=detail, values=ended)
    else:
        detail = f"The {report} could not be delivered, after {attempts}{why}."
        yield Event(at=row.finished_at, what=What.REPORT_FAILED, detail=detail, values=ended)


def not_kept(row: Row[Any]) -> Iterator[str]:
    """Yield what the database does not keep about the analysis of an image, from its first row of work."""
    if row.batch_id is not None:
        yield "A batch is published to Redis right after it was formed; the time is not kept."
    if row.batch_id is not None and row.created_at is None:
        yield "Its batch is not in the database any more."
    kept = 1 if row.claimed_at is not None else 0
    if row.attempts > kept:
        yield "Of several attempts only the latest batch is kept, and only while it has the image."
    if row.deaths or row.expiries:
        yield "Deaths of worker processes and expired leases are counted; their times are not kept."


def _batch(row: Row[Any]) -> Iterator[Event]:
    if row.created_at is None:
        return
    batch = {"batch": row.batch_id, "images": row.images}
    detail = f"The dispatcher put it into a batch of {_counted(row.images, 'image')}."
    yield Event(at=row.created_at, what=What.BATCH_FORMED, detail=detail, values=batch)
    if row.claimed_at is None:
        return
    process = {"node": row.node, "process": row.process_index, "boot_id": row.boot_id}
    software = {"release": row.release, "runtime": row.runtime}
    detail = f"Process {row.process_index} of the worker {row.node} claimed the batch (attempt {row.attempts})."
    values = {**batch, **process, **software, "attempt": row.attempts, "seconds": row.seconds}
    yield Event(at=row.claimed_at, what=What.CLAIMED, detail=detail, values=values)


def _waiting(row: Row[Any]) -> Iterator[Event]:
    values = {
        "state": row.state,
        "reason": row.reason,
        "attempts": row.attempts,
        "not_before": row.not_before,
        "deaths": row.deaths,
        "expired_leases": row.expiries,
        "alone": bool(row.alone),
        "message": row.detail,
    }
    yield Event(at=None, what=What.WAITING, detail=_waiting_sentence(row), values=values)


def _waiting_sentence(row: Row[Any]) -> str:
    if row.state == State.RUNNING:
        return "A worker process is analysing it now."
    if row.state == State.QUEUED:
        return "It waits in a batch for a worker process."
    alone = " It will be alone in its batch." if row.alone else ""
    if row.reason is None:
        return f"It waits for a batch.{alone}"
    until = f" not before {row.not_before:%Y-%m-%d %H:%M:%S} UTC" if row.not_before else ""
    return f"It waits to be retried{until}: {row.reason}. {_meaning(row)}{alone}"


def _outcome_sentence(row: Row[Any]) -> str:
    attempts = f" after {_counted(row.attempts, 'attempt')}" if row.attempts > 1 else ""
    if row.state == State.DONE:
        model = f"{row.model}@{row.model_version}" if row.model is not None else "A model"
        score = f" ({row.score:.3f})" if row.score is not None else ""
        shadow = " It is a shadow result." if row.shadow else ""
        said = f" says {row.label}{score}" if row.label is not None else " has analysed it"
        return f"{model}{said}{attempts}.{shadow}"
    if row.state == State.DUPLICATE:
        return f"It is a duplicate: image {row.duplicate_of} has the same bytes."
    if row.state == State.EXPANDED:
        return row.detail or "It is an archive, which was unpacked."
    return f"It {'was rejected' if row.state == State.REJECTED else 'failed'}{attempts}: {row.reason}. {_meaning(row)}"


def _meaning(row: Row[Any]) -> str:
    """Return the explanation in the row, or else the explanation of its reason.

    It is empty for a reason that only another release knows.
    """
    return row.detail or _MESSAGES.get(row.reason, "")


def _counted(number: int, singular: str) -> str:
    return f"{number:,} {singular}{'' if number == 1 else 's'}"


_MESSAGES = {reason.value: reason.message for reason in Reason}
