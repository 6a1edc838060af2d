"""Follow files that change: mark arrivals whose file was replaced by another one of the same name."""

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, func, select, update

from db.bulk import execute_many
from db.ledger.values import Outcome
from db.tables import State, instances


def mark_replaced(connection: Connection, instance_ids: Sequence[int]) -> None:
    """Mark these arrivals as replaced by the newest arrival at the same place. Earlier marks stay."""
    if instance_ids:
        connection.execute(_REPLACE, {"instances": list(instance_ids)})


def mark_returned(connection: Connection, instance_ids: Sequence[int]) -> None:
    """Unmark these arrivals, because their files are there again, and mark the arrivals that had replaced them."""
    for instance_id in instance_ids:
        connection.execute(_RETURN, {"instance": instance_id})
        connection.execute(_REPLACE_BY, {"instance": instance_id})
        connection.execute(_UNMARK, {"instance": instance_id})


def unmark_same_bytes(connection: Connection, outcomes: Sequence[Outcome]) -> None:
    """Remove the mark of a replaced arrival if the new file has the same bytes: it was touched or copied back.

    Call this after the outcomes are stored. If no image of the batch replaced another, this costs one short search.
    """
    read = [outcome.instance_id for outcome in outcomes if outcome.content is not None]
    if read and connection.execute(_ANY_REPLACING, {"first": min(read), "last": max(read)}).first():
        replacing = connection.execute(_REPLACING, {"instances": read}).scalars()
        execute_many(connection, _UNMARK, ("instance",), [(instance_id,) for instance_id in replacing])


def follow_files(connection: Connection, outcomes: Sequence[Outcome]) -> None:
    """Set size and time of images that are retried because their file has changed."""
    changed = [
        {"instance": outcome.instance_id, "new_size": outcome.size, "new_mtime_ns": outcome.mtime_ns}
        for outcome in outcomes
        if outcome.state is State.RECEIVED and outcome.size is not None
    ]
    if changed:
        connection.execute(_FOLLOW_FILE, changed)


_newest, _same_place = instances.alias("newest"), instances.alias("same_place")

_REPLACE = (
    update(instances)
    .where(instances.c.id.in_(bindparam("instances", expanding=True)), instances.c.replaced_by.is_(None))
    .values(
        replaced_by=select(func.max(_newest.c.id))
        .where(_newest.c.source_id == instances.c.source_id, _newest.c.uri_key == instances.c.uri_key)
        .scalar_subquery()
    )
)
_RETURN = update(instances).where(instances.c.id == bindparam("instance")).values(replaced_by=None)
_place = {
    name: select(_same_place.c[name]).where(_same_place.c.id == bindparam("instance")).scalar_subquery()
    for name in ("source_id", "uri_key", "content")
}
_REPLACE_BY = (
    update(instances)
    .where(
        instances.c.source_id == _place["source_id"],
        instances.c.uri_key == _place["uri_key"],
        instances.c.id != bindparam("instance"),
        instances.c.replaced_by.is_(None),
    )
    .values(replaced_by=bindparam("instance"))
)
_ANY_REPLACING = (
    select(instances.c.id).where(instances.c.replaced_by.between(bindparam("first"), bindparam("last"))).limit(1)
)
_REPLACING = (
    select(instances.c.replaced_by)
    .where(instances.c.replaced_by.in_(bindparam("instances", expanding=True)))
    .distinct()
)
_UNMARK = (
    update(instances)
    .where(
        instances.c.source_id == _place["source_id"],
        instances.c.uri_key == _place["uri_key"],
        instances.c.content == _place["content"],
        instances.c.replaced_by.is_not(None),
        select(_same_place.c.id)
        .where(_same_place.c.id == bindparam("instance"), _same_place.c.replaced_by.is_(None))
        .exists(),
    )
    .values(replaced_by=None)
)
_FOLLOW_FILE = (
    update(instances)
    .where(
        instances.c.id == bindparam("instance"),
        # If another row describes the file as it is now, a change would violate the unique constraint.
        ~select(_same_place.c.id)
        .where(
            _same_place.c.source_id == instances.c.source_id,
            _same_place.c.uri_key == instances.c.uri_key,
            _same_place.c.size == bindparam("new_size"),
            _same_place.c.mtime_ns == bindparam("new_mtime_ns"),
        )
        .exists(),
    )
    .values(size=bindparam("new_size"), mtime_ns=bindparam("new_mtime_ns"))
)
