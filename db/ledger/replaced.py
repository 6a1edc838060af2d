"""Mark arrivals whose file was replaced by another file of the same name."""

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, func, select, update

from db.bulk import execute_many
from db.ledger.values import Outcome
from db.tables import State, instances


def mark_replaced(connection: Connection, instance_ids: Sequence[int]) -> None:
    """Mark these arrivals: the newest arrival at the same place has another file. Earlier marks stay."""
    if instance_ids:
        connection.execute(_REPLACE, {"instances": list(instance_ids)})


def mark_returned(connection: Connection, instance_ids: Sequence[int]) -> None:
    """Mark that the files of these arrivals are there again, instead of the files that had replaced them."""
    for instance_id in instance_ids:
        connection.execute(_RETURN, {"instance": instance_id})
        connection.execute(_REPLACE_BY, {"instance": instance_id})


def unmark_copied(connection: Connection, outcomes: Sequence[Outcome]) -> None:
    """Remove the mark of each original whose copy is at the same place: the file was touched, not replaced."""
    copies = [(o.instance_id, o.duplicate_of) for o in outcomes if o.state is State.DUPLICATE]
    execute_many(connection, _UNMARK, ("copy", "original"), copies)


_newest, _same_place, _copy = (instances.alias(name) for name in ("newest", "same_place", "copy"))

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
    for name in ("source_id", "uri_key")
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
_UNMARK = (
    update(instances)
    .where(
        instances.c.id == bindparam("original"),
        instances.c.replaced_by.is_not(None),
        select(_copy.c.id)
        .where(
            _copy.c.id == bindparam("copy"),
            _copy.c.source_id == instances.c.source_id,
            _copy.c.uri_key == instances.c.uri_key,
        )
        .exists(),
    )
    .values(replaced_by=None)
)
