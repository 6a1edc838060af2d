"""An archive among those that it came in, and what came out of them so far."""

from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, func, or_, select

from db.engine import Database
from db.tables import instances


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """The outermost archive and all that came out of it, directly or out of an archive in it."""

    depth: int
    """Of the archive that was asked for: 0 for the outermost itself."""
    outermost_id: int
    outermost_bytes: int
    members: int
    member_bytes: int


def family(database: Database, instance_id: int) -> Family:
    """Of the archive that is this instance."""
    with database.read() as connection:
        depth, outermost = 0, instance_id
        while (parent := connection.execute(_PARENT, {"instance": outermost}).scalar()) is not None:
            depth, outermost = depth + 1, parent
        return _family(connection, depth, outermost)


def _family(connection: Connection, depth: int, outermost: int) -> Family:
    size = connection.execute(select(instances.c.size).where(instances.c.id == outermost)).scalar_one()
    members, member_bytes = connection.execute(_DESCENDANTS, {"outermost": outermost}).one() if depth else (0, 0)
    return Family(
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
