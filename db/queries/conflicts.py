"""Find images whose results or notes came from sources that do not trust each other."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import and_, func, select

from db.engine import Database
from db.queries.filters import in_conflict
from db.queries.snapshot import snapshot, stream
from db.tables import State, instances, sources, work


@dataclass(frozen=True, kw_only=True, slots=True)
class ConflictingImage:
    """A current image, and what another source says about it: one of several versions, or a key object note."""

    image_id: int
    source: str
    other_id: int
    other_source: str
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
                other_id=row.conflict_with,
                other_source=row.other_name,
                kind=kind,
            )


_other, _other_source = instances.alias("other"), sources.alias("other_source")
_IN_CONFLICT = (
    select(instances.c.id, sources.c.name, instances.c.conflict_with, _other_source.c.name.label("other_name"))
    .add_columns(work.c.state)
    .join(sources, sources.c.id == instances.c.source_id)
    .join(_other, _other.c.id == instances.c.conflict_with)
    .join(_other_source, _other_source.c.id == _other.c.source_id)
    .join(work, and_(work.c.instance_id == _other.c.id, work.c.ordinal == 0))
    .where(in_conflict())
    .order_by(instances.c.id + 0)
)
