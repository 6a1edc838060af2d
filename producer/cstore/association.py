"""One association of a C-STORE receiver, as far as it is remembered."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from uuid import uuid4

from db.ledger import Receipt


class CStoreStatus(IntEnum):
    """What a C-STORE is answered with (DICOM PS3.4, table B.2-1; PS3.7, annex C)."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    """The record does not answer, or the spool cannot be written: the sender keeps its image."""
    OUT_OF_RESOURCES = 0xA700
    """The disk is short: the sender keeps its image and tries again later."""
    CANNOT_UNDERSTAND = 0xC000
    """A request without a dataset, or whose command cannot be the head of a file."""


@dataclass(kw_only=True)
class AssociationLog:
    """Who calls, and what became of what they sent. Ends as a receipt in the ledger."""

    calling_ae: str
    address: str
    began_at: datetime
    association: str = field(default_factory=lambda: str(uuid4()))
    ended_at: datetime | None = None
    received: int = 0
    """Committed; the registrar alone counts here."""
    refused: int = 0
    failed: int = 0
    statuses: Counter[str] = field(default_factory=Counter)

    def answered(self, status: CStoreStatus) -> None:
        """Count an answer that is no success."""
        self.statuses[f"{status:04X}"] += 1
        if status is CStoreStatus.OUT_OF_RESOURCES:
            self.refused += 1
        else:
            self.failed += 1

    def ended(self, at: datetime, *, how: str | None) -> None:
        """`how`: None for an orderly release."""
        self.ended_at = at
        if how:
            self.statuses[how] += 1

    def receipt(self, *, more: int = 0) -> Receipt:
        """As it stands, with so many images that are being committed along with it."""
        return Receipt(
            association=self.association,
            calling_ae=self.calling_ae,
            address=self.address,
            began_at=self.began_at,
            ended_at=self.ended_at,
            received=self.received + more,
            refused=self.refused,
            failed=self.failed,
            statuses=dict(self.statuses),
        )
