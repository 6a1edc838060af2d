"""Find images in conflict, whose versions or key object notes came from sources that do not trust each other."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import and_, func, select

from db.engine import Database
from db.queries.filters import in_conflict
from db.queries.sender_names import sender_name
from db.queries.snapshot import snapshot, stream
from db.store_tables import senders
from db.tables import State, instances, sources, work


@dataclass(frozen=True, kw_only=True, slots=True)
class ConflictingImage:
    """A current image, and the arrival from another source that contests it: a version, or a key object note."""

    image_id: int
    source: str
    sender: str | None
    """AE title and address, if the image came by a receiver."""
    other_id: int
    other_source: str
    other_sender: str | None
    kind: str
    """`version` or `withdrawal`."""


def conflicts(database: Database) -> int:
    """Return the number of images in conflict."""
    statement = select(func.count()).select_from(instances).where(in_conflict())
    with database.read() as connection:
        return int(connection.execute(statement).scalar_one())


def conflicting_images(database: Database) -> Iterator[ConflictingImage]:
    """Stream the images in conflict, oldest first."""
    with snapshot(database) as connection:
        for row in stream(connection, _IN_CONFLICT):
            kind = "version" if row.state == State.DONE else "withdrawal"
            yield ConflictingImage(
                image_id=row.id,
                source=row.name,
                sender=sender_name(row.calling_ae, row.address, row.trust),
                other_id=row.conflict_with,
                other_source=row.other_name,
                other_sender=sender_name(row.other_ae, row.other_address, row.other_trust),
                kind=kind,
            )


_other, _other_source, _other_sender = (table.alias(f"other_{table.name}") for table in (instances, sources, senders))
_IN_CONFLICT = (
    select(instances.c.id, sources.c.name, instances.c.conflict_with, _other_source.c.name.label("other_name"))
    .add_columns(work.c.state, senders.c.calling_ae, senders.c.address, senders.c.trust)
    .add_columns(
        _other_sender.c.calling_ae.label("other_ae"),
        _other_sender.c.address.label("other_address"),
        _other_sender.c.trust.label("other_trust"),
    )
    .join(sources, sources.c.id == instances.c.source_id)
    .join(_other, _other.c.id == instances.c.conflict_with)
    .join(_other_source, _other_source.c.id == _other.c.source_id)
    .join(work, and_(work.c.instance_id == _other.c.id, work.c.ordinal == 0))
    .outerjoin(senders, senders.c.id == instances.c.sender_id)
    .outerjoin(_other_sender, _other_sender.c.id == _other.c.sender_id)
    .where(in_conflict())
    .order_by(instances.c.id + 0)
)
