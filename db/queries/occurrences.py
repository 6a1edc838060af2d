"""Search only the blocks of arrivals (256 consecutive ids each) in which a model, device or view position occurs."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, Select, Subquery, and_, select, true

from db.ledger.occurrences import Kind
from db.queries.filters import ImageFilter, matches_few
from db.queries.order import Position, in_order
from db.store_tables import BLOCK, occurrences
from db.tables import State, instances

_KINDS: dict[str, Kind] = {
    "station_names": "station",
    "manufacturers": "manufacturer",
    "bundle_ids": "model",
    "view_positions": "view",
}
"""The kind of value for each field of the filter. The kind whose values are likely to be in the fewest blocks is
first."""


def occurrence_of(wanted: ImageFilter) -> tuple[Kind, str] | None:
    """Return the kind and value whose blocks this search should read.

    Return None if the search should not read by blocks, for example because another condition leaves fewer rows.
    """
    without_result = wanted.states and State.DONE not in wanted.states
    if wanted.sort not in ("id", "newest") or wanted.reasons or wanted.remarks or without_result:
        return None
    if wanted.limit is None or wanted.per_frame or matches_few(wanted):
        return None
    for name, kind in _KINDS.items():
        values = getattr(wanted, name)
        if len(values) == 1:
            return kind, str(values[0])
    return None


def in_blocks_of(
    statement: Select[Any],
    occurrence: tuple[Kind, str],
    wanted: ImageFilter,
    after: Position | None,
    *,
    is_sqlite: bool,
) -> Subquery:
    """Return the first rows of the statement, in order, from the blocks in which this value occurs.

    The column `sort_image` of the rows is the id of the image.
    """
    kind, value = occurrence
    its_blocks = and_(occurrences.c.kind == kind, occurrences.c.value == value, *_bounds(wanted, after))
    first = occurrences.c.block * BLOCK
    of_block = and_(instances.c.id >= first, instances.c.id < first + BLOCK)
    if is_sqlite:
        joined = statement.join(occurrences, and_(its_blocks, of_block))
        return in_order(joined, wanted, after, block=occurrences.c.block).subquery()
    # In a join, PostgreSQL would use the block as a filter and read all arrivals of the value; LATERAL reads by block.
    rows = in_order(statement.where(of_block), wanted, after).lateral()
    order = (occurrences.c.block, rows.c.sort_image)
    outer = select(rows.c.id).select_from(occurrences).join(rows, true()).where(its_blocks).limit(wanted.limit)
    falling = outer.order_by(*(column.desc() for column in order), rows.c.sort_ordinal)
    return (outer.order_by(*order, rows.c.sort_ordinal) if wanted.sort == "id" else falling).subquery()


def _bounds(wanted: ImageFilter, after: Position | None) -> Iterator[ColumnElement[bool]]:
    block: ColumnElement[int] = occurrences.c.block
    if wanted.id_range:
        first, last = wanted.id_range
        yield block.between(first // BLOCK, last // BLOCK)
    if after:
        last = after.image_id // BLOCK
        yield block >= last if wanted.sort == "id" else block <= last
