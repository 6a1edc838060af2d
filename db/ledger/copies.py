"""Store which other sources and senders sent the same image or archive again, byte for byte.

The results of the original count for all of these sources and senders.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from db.ledger.origins import origin_columns
from db.ledger.upsert import insert_if_absent
from db.ledger.values import Outcome
from db.store_tables import copies
from db.tables import State, instances, work


def add_copies(connection: Connection, outcomes: Sequence[Outcome], held: Mapping[int, Row[Any]]) -> list[int]:
    """Store the origin of each duplicate that came from another source, sender or archive than its original.

    `held` are the rows of `work` of the batch, by id. Returns the originals that got a new origin. If such an original
    is an archive, it returns the images that were unpacked from it instead. If no duplicate has a new origin, this
    costs one query for the whole batch.
    """
    duplicates = [(o, o.duplicate_of) for o in outcomes if o.state is State.DUPLICATE and o.duplicate_of is not None]
    if not duplicates:
        return []
    originals = {original for _, original in duplicates}
    known: dict[int, Any] = {row.id: row for row in connection.execute(_ORIGINALS, {"originals": list(originals)})}
    foreign = {
        o.instance_id: known[original]
        for o, original in duplicates
        if _place(held[o.work_id]) != _place(known[original])
    }
    added = _add(connection, foreign) if foreign else set()
    archives = {image_id for image_id in added if known[image_id].state == State.EXPANDED}
    return sorted((added - archives) | _members(connection, archives))


def _place(row: Row[Any]) -> tuple[int, int | None, int | None]:
    return row.source_id, row.sender_id, row.parent_id


def _add(connection: Connection, foreign: Mapping[int, Row[Any]]) -> set[int]:
    """Store the new origins, and return the originals that got one. `foreign` has the original of each duplicate."""
    originals = {row.id for row in foreign.values()}
    ids = sorted(originals | foreign.keys())
    origins = {
        row.id: (row.origin_source, row.origin_sender or 0) for row in connection.execute(_ORIGINS, {"images": ids})
    }
    present = {tuple(row) for row in connection.execute(_PRESENT, {"originals": sorted(originals)})}
    new: dict[tuple[int, int, int], int] = {}
    for image_id, original in sorted(foreign.items()):
        key = (original.id, *origins[image_id])
        if origins[image_id] != origins[original.id] and key not in present:
            new.setdefault(key, image_id)
    insert_if_absent(connection, copies, _COLUMNS, [(*key, first) for key, first in new.items()])
    return {original for original, _, _ in new}


def _members(connection: Connection, archives: set[int]) -> set[int]:
    """Return the images that were unpacked from these archives, at all levels."""
    if not archives:
        return set()
    named = {"archives": sorted(archives)}
    return {*connection.execute(_MEMBERS, named).scalars(), *connection.execute(_NESTED, named).scalars()}


_COLUMNS = ("original_id", "source_id", "sender_id", "first_id")
_ORIGINALS = (
    select(instances.c.id, instances.c.source_id, instances.c.sender_id, instances.c.parent_id, work.c.state)
    .join(work, work.c.instance_id == instances.c.id)
    .where(work.c.ordinal == 0, instances.c.id.in_(bindparam("originals", expanding=True)))
)
_ORIGINS = select(instances.c.id, *origin_columns()).where(instances.c.id.in_(bindparam("images", expanding=True)))
_PRESENT = select(copies.c.original_id, copies.c.source_id, copies.c.sender_id).where(
    copies.c.original_id.in_(bindparam("originals", expanding=True))
)
_MEMBERS = select(instances.c.id).where(instances.c.parent_id.in_(bindparam("archives", expanding=True)))
_member = instances.alias("member")
_NESTED = (
    select(instances.c.id)
    .join(_member, _member.c.id == instances.c.parent_id)
    .where(_member.c.parent_id.in_(bindparam("archives", expanding=True)))
)
