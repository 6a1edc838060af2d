"""Define one report on its way to a destination, and the states and reasons that it can have."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Row


class DeliveryState(StrEnum):
    """The state of one report for one destination."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"


SENDING, NO_ANSWER = "sending", "no_answer"
POSSIBLY_TAKEN = (SENDING, NO_ANSWER)
"""Reasons after which the destination may have the report although it never confirmed that."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """One revision of the report of a study for one destination."""

    id: int
    study_instance_uid: str
    destination: str
    sop_instance_uid: str
    replaces: str | None
    """SOP Instance UID of the revision before."""
    content: str
    """Digest of what it says."""
    state: str
    reason: str | None
    detail: str | None
    attempts: int
    not_before: datetime | None
    created_at: datetime
    finished_at: datetime | None


def as_delivery(row: Row[Any]) -> Delivery:
    """Turn a row into a value."""
    return Delivery(**row._mapping)  # noqa: SLF001 - its public name, with an underscore to keep columns apart
