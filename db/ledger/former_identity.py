"""Find contents that an earlier release identified by their SHA-256 (nightread.content_digest)."""

from collections.abc import Iterable

from sqlalchemy import BindParameter, bindparam, func, select, union

from db.bulk import execute_in_chunks
from db.engine import Database
from db.tables import contents, instances
from nightread.content_digest import is_former

_SHA256_LENGTH = 64


def has_former_contents(database: Database) -> bool:
    """Return whether any content with a result is identified by its SHA-256.

    Reads only the smallest and the largest key. All BLAKE3-256 have the same prefix, so if any key is a SHA-256, one of
    these two is a SHA-256.
    """
    with database.read() as connection:
        ends = connection.execute(_ENDS).one()
    return any(content is not None and is_former(content) for content in ends)


def former_uids(database: Database, uids: Iterable[str]) -> set[str]:
    """Return the given SOP Instance UIDs that belong to images identified by a SHA-256."""
    with database.read() as connection:
        return {row.sop_instance_uid for row in execute_in_chunks(connection, _UIDS, "uids", uids)}


def former_contents(database: Database, hashes: Iterable[str]) -> set[str]:
    """Return the given SHA-256 that identify an image, with or without a result."""
    with database.read() as connection:
        return {row.content for row in execute_in_chunks(connection, _KNOWN, "hashes", hashes)}


_ENDS = select(
    select(func.min(contents.c.content)).scalar_subquery(),
    select(func.max(contents.c.content)).scalar_subquery(),
)
_UIDS = (
    select(instances.c.sop_instance_uid)
    .where(
        instances.c.sop_instance_uid.in_(bindparam("uids", expanding=True)),
        func.length(instances.c.content) == _SHA256_LENGTH,
    )
    .distinct()
)
_HASHES: BindParameter[str] = bindparam("hashes", expanding=True)
_KNOWN = union(
    select(contents.c.content).where(contents.c.content.in_(_HASHES)),
    select(instances.c.content).where(instances.c.content.in_(_HASHES), instances.c.unowned.is_not(None)),
)
