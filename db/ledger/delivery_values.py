"""Define a delivery, with the states and reasons that it can have."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Row


class DeliveryState(StrEnum):
    """The state of a delivery."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"


SENDING, NO_ANSWER = "sending", "no_answer"
POSSIBLY_TAKEN = (SENDING, NO_ANSWER)
"""Reasons after which the destination may have stored the report without confirming it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """One revision of the report of a study for one destination."""

    id: int
    study_instance_uid: str
    destination: str
    sop_instance_uid: str
    replaces: str | None
    """SOP Instance UID of the previous revision."""
    content: str
    """Digest of the content of the report."""
    state: str
    reason: str | None
    detail: str | None
    attempts: int
    not_before: datetime | None
    created_at: datetime
    finished_at: datetime | None


def as_delivery(row: Row[Any]) -> Delivery:
    """Build a delivery from a row of `deliveries`."""
    return Delivery(**row._mapping)  # noqa: SLF001 - public despite its underscore, which avoids clashes with columns
