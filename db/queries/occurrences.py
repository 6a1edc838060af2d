"""Find the blocks of arrivals in which a model or a device occurs."""

from typing import Any

from sqlalchemy import ColumnElement, Select, and_

from db.ledger.occurrences import Kind
from db.queries.filters import ImageFilter, matches_few
from db.store_tables import BLOCK, occurrences
from db.tables import State, instances

BLOCK_COLUMN: ColumnElement[int] = occurrences.c.block
_KINDS: dict[str, Kind] = {
    "station_names": "station",
    "manufacturers": "manufacturer",
    "bundle_ids": "model",
    "view_positions": "view",
}
"""The kind of value by the field of the filter; the one that is likely to be in the fewest blocks comes first."""


def occurrence_of(wanted: ImageFilter) -> tuple[Kind, str] | None:
    """Return the value whose blocks should lead this search; None if another condition leaves fewer rows."""
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


def in_blocks_of(statement: Select[Any], kind: Kind, value: str, id_range: tuple[int, int] | None) -> Select[Any]:
    """Restrict a statement to the arrivals in the blocks of this value, and in this range of ids."""
    first = BLOCK_COLUMN * BLOCK
    its_blocks = and_(occurrences.c.kind == kind, occurrences.c.value == value)
    if id_range:
        its_blocks &= BLOCK_COLUMN.between(*(number // BLOCK for number in id_range))
    return statement.join(occurrences, and_(its_blocks, instances.c.id >= first, instances.c.id < first + BLOCK))
