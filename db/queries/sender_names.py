"""Name the source and the sender of an image, in words for people."""

from sqlalchemy import Connection, bindparam, select

from db.ledger.origins import origin_columns
from db.ledger.values import NO_GROUP
from db.store_tables import senders
from db.tables import instances, sources


def sender_name(calling_ae: str | None, address: str | None, trust: str | None) -> str | None:
    """Return AE title and address of a sender, given its columns; None for images that did not come from a receiver."""
    if calling_ae is None or address is None:
        return None
    if trust == NO_GROUP:
        return "an unknown sender"
    return f"{calling_ae or 'a caller without AE title'} at {address}"


class Origins:
    """Names the source of an arrival, and its sender if a receiver got it.

    A member of an archive has the source and the sender of the archive.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of(self, image_id: int) -> str:
        """Return the source of the image, with its sender if a receiver got it: `ward`, or `pacs (CT1 at 10.1.0.5)`."""
        row = self._connection.execute(_ORIGIN, {"image": image_id}).one()
        name = sender_name(row.calling_ae, row.address, row.trust)
        return f"{row.name} ({name})" if name else str(row.name)


_arrival = select(*origin_columns()).where(instances.c.id == bindparam("image")).subquery()
_ORIGIN = (
    select(sources.c.name, senders.c.calling_ae, senders.c.address, senders.c.trust)
    .select_from(_arrival)
    .join(sources, sources.c.id == _arrival.c.origin_source)
    .outerjoin(senders, senders.c.id == _arrival.c.origin_sender)
)
