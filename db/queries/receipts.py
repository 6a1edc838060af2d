"""Read the receipts of C-STORE receivers, by association and by sender."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from db.engine import Database
from db.store_tables import receipts as receipts_table
from db.tables import sources


@dataclass(frozen=True, kw_only=True, slots=True)
class Association:
    """The receipt of one association, or of the refused associations of one caller in one hour."""

    source: str
    association: str
    calling_ae: str
    address: str
    began_at: datetime
    ended_at: datetime | None
    """When it ended. None if the association is open, or if its receiver died and was not started again."""
    received: int
    refused: int
    failed: int
    statuses: Mapping[str, int]
    """Number of responses by DIMSE status (four hex digits), without successes. A word such as `lost` counts
    associations that ended in this way."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sender:
    """All associations of one calling AE title with one receiver."""

    source: str
    calling_ae: str
    addresses: Sequence[str]
    associations: int
    open: int
    """The number of these associations that have not ended."""
    received: int
    refused: int
    failed: int
    statuses: Mapping[str, int]
    latest_at: datetime
    """When the latest association began."""


def associations(
    database: Database, *, since: datetime | None = None, until: datetime | None = None, source: str | None = None
) -> list[Association]:
    """List associations that began in this time range, oldest first; `until` is excluded."""
    statement = select(receipts_table, sources.c.name).join(sources, sources.c.id == receipts_table.c.source_id)
    if since is not None:
        statement = statement.where(receipts_table.c.began_at >= since)
    if until is not None:
        statement = statement.where(receipts_table.c.began_at < until)
    if source is not None:
        statement = statement.where(sources.c.name == source)
    with database.read() as connection:
        rows = connection.execute(statement.order_by(receipts_table.c.began_at, receipts_table.c.id)).all()
    return [
        Association(
            source=row.name,
            association=row.association,
            calling_ae=row.calling_ae,
            address=row.address,
            began_at=row.began_at,
            ended_at=row.ended_at,
            received=row.received,
            refused=row.refused,
            failed=row.failed,
            statuses=row.statuses,
        )
        for row in rows
    ]


def senders(found: Iterable[Association]) -> list[Sender]:
    """Sum up associations by source and calling AE title, sorted by both."""
    by_sender: dict[tuple[str, str], list[Association]] = {}
    for association in found:
        by_sender.setdefault((association.source, association.calling_ae), []).append(association)
    return [_sender(of_sender) for _, of_sender in sorted(by_sender.items())]


def _sender(found: Sequence[Association]) -> Sender:
    statuses: Counter[str] = Counter()
    for association in found:
        statuses.update(association.statuses)
    return Sender(
        source=found[0].source,
        calling_ae=found[0].calling_ae,
        addresses=sorted({association.address for association in found}),
        associations=len(found),
        open=sum(association.ended_at is None for association in found),
        received=sum(association.received for association in found),
        refused=sum(association.refused for association in found),
        failed=sum(association.failed for association in found),
        statuses=dict(statuses),
        latest_at=max(association.began_at for association in found),
    )
