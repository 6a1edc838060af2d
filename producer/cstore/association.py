"""Count what happened during one association of a C-STORE receiver."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from uuid import uuid4

from db.ledger import CallingEntity, Receipt


class CStoreStatus(IntEnum):
    """Statuses of C-STORE responses (DICOM PS3.4, table B.2-1; PS3.7, annex C)."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    """The database is unavailable, or the spool cannot be written: the sender keeps its image."""
    OUT_OF_RESOURCES = 0xA700
    """The disk has too little free space: the sender keeps its image and tries again later."""
    TOO_LARGE = 0xC001
    """The image is larger than `max_file_bytes`: no worker would read it."""
    CANNOT_UNDERSTAND = 0xC000
    """The request has no dataset, or no file header can be made from its command set."""


@dataclass(kw_only=True)
class AssociationLog:
    """The caller of one association and the counts of its images; stored in the database as a receipt."""

    calling_ae: str
    address: str
    began_at: datetime
    trust: str | None = None
    """The trust group of the caller, from the allow list."""
    association: str = field(default_factory=lambda: str(uuid4()))
    ended_at: datetime | None = None
    received: int = 0
    """Number of committed images; only the group committer changes it."""
    refused: int = 0
    failed: int = 0
    statuses: Counter[str] = field(default_factory=Counter)

    @property
    def sender(self) -> CallingEntity:
        """Return who sent the images of the association."""
        return CallingEntity(calling_ae=self.calling_ae, address=self.address, trust=self.trust)

    def count_refusal(self, status: CStoreStatus) -> None:
        """Count a response whose status is not SUCCESS."""
        self.statuses[f"{status:04X}"] += 1
        if status is CStoreStatus.OUT_OF_RESOURCES:
            self.refused += 1
        else:
            self.failed += 1

    def end(self, at: datetime, *, how: str | None) -> None:
        """Note the time of the end. `how` is a word of `association_end`, or None for an orderly release."""
        self.ended_at = at
        if how:
            self.statuses[how] += 1

    def receipt(self, *, committing: int = 0) -> Receipt:
        """Return the receipt; `committing` is the number of images that the same transaction commits."""
        return Receipt(
            association=self.association,
            calling_ae=self.calling_ae,
            address=self.address,
            began_at=self.began_at,
            ended_at=self.ended_at,
            received=self.received + committing,
            refused=self.refused,
            failed=self.failed,
            statuses=dict(self.statuses),
        )
