"""Read the states of archives. Find the outermost archive around an archive, and count what was unpacked from it."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, func, or_, select

from db.engine import Database
from db.tables import State, instances, work

_IDS_AT_ONCE = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchiveTotals:
    """The outermost archive and everything that was unpacked from it, directly or from an archive inside of it."""

    depth: int
    """The number of archives that contain the requested one; 0 for the outermost archive itself."""
    outermost_id: int
    outermost_bytes: int
    members: int
    member_bytes: int


def archive_totals(database: Database, instance_id: int) -> ArchiveTotals:
    """Return the totals for the archive with this instance id."""
    with database.read() as connection:
        depth, outermost = 0, instance_id
        while (parent := connection.execute(_PARENT, {"instance": outermost}).scalar()) is not None:
            depth, outermost = depth + 1, parent
        return _totals(connection, depth, outermost)


def archive_states(database: Database, instance_ids: Sequence[int]) -> dict[int, State]:
    """Return the states of the archives with these instance ids; ids that are not in the database are left out."""
    statement = select(work.c.instance_id, work.c.state).where(work.c.ordinal == 0)
    found: dict[int, State] = {}
    with database.read() as connection:
        for begin in range(0, len(instance_ids), _IDS_AT_ONCE):
            chunk = instance_ids[begin : begin + _IDS_AT_ONCE]
            rows = connection.execute(statement.where(work.c.instance_id.in_(chunk)))
            found.update({row.instance_id: State(row.state) for row in rows})
    return found


def _totals(connection: Connection, depth: int, outermost: int) -> ArchiveTotals:
    size = connection.execute(select(instances.c.size).where(instances.c.id == outermost)).scalar_one()
    members, member_bytes = connection.execute(_DESCENDANTS, {"outermost": outermost}).one() if depth else (0, 0)
    return ArchiveTotals(
        depth=depth,
        outermost_id=outermost,
        outermost_bytes=size,
        members=members,
        member_bytes=int(member_bytes),
    )


_PARENT = select(instances.c.parent_id).where(instances.c.id == bindparam("instance"))
_child = instances.alias("child")
_DESCENDANTS = select(func.count(), func.coalesce(func.sum(instances.c.size), 0)).where(
    or_(
        instances.c.parent_id == bindparam("outermost"),
        instances.c.parent_id.in_(select(_child.c.id).where(_child.c.parent_id == bindparam("outermost"))),
    )
)
