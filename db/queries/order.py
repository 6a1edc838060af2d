"""Sort images, and continue after the last row of an earlier page."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, func, or_

from db.queries.filters import ImageFilter, image_id
from db.tables import predictions, work

_NO_FRAME = -1


@dataclass(frozen=True, kw_only=True, slots=True)
class Position:
    """The place of one row in the order of its filter."""

    key: float | datetime
    """The value of `sort` in this row; for `id` and `newest` the id of the image."""
    row: int
    """Distinguishes rows with the same key: the ordinal of the result of the image, or the id of the row of work."""
    frame: int
    """With `per_frame` the number of the frame; -1 if there is none."""


def in_order(
    statement: Select[Any], wanted: ImageFilter, suspicious: ColumnElement[Any], after: Position | None
) -> Select[Any]:
    """Add the order, and the columns from which `position_of` reads; leave out rows up to the position `after`."""
    by_id = wanted.sort in ("id", "newest")
    key = image_id(wanted) if by_id else _value(wanted, suspicious)
    row: ColumnElement[int] = work.c.ordinal if by_id else work.c.id
    statement = statement.add_columns(key.label("sort_key"), row.label("sort_row"))
    if not by_id:
        statement = statement.where(key.is_not(None)).order_by(key.desc(), row.desc())
    else:
        statement = statement.order_by(key.desc() if wanted.sort == "newest" else key)
        # Not for the first rows of work alone: they have one ordinal, and a second key may need a sort.
        statement = statement.order_by(row) if _several_results(wanted) else statement
    if wanted.per_frame:
        statement = statement.order_by(predictions.c.frame)
    return statement if after is None else statement.where(_behind(after, wanted, key, row))


def position_of(row: Row[Any], wanted: ImageFilter) -> Position:
    """Return the position of a row of a statement that `in_order` made."""
    frame = row.frame if wanted.per_frame else None
    return Position(key=row.sort_key, row=row.sort_row, frame=_NO_FRAME if frame is None else frame)


def _value(wanted: ImageFilter, suspicious: ColumnElement[Any]) -> ColumnElement[Any]:
    values: dict[str, ColumnElement[Any]] = {
        "score": work.c.score,
        "finished": work.c.finished_at,
        "suspicion": suspicious,
    }
    return values[wanted.sort]


def _several_results(wanted: ImageFilter) -> bool:
    """Return whether an image may have more than one row of work among the results."""
    return bool(wanted.models or wanted.shadow)


def _behind(
    after: Position, wanted: ImageFilter, key: ColumnElement[Any], row: ColumnElement[int]
) -> ColumnElement[bool]:
    """Return the condition that a row comes after this position: a range of keys, which an index can find."""
    is_rising = wanted.sort == "id"
    beyond = key > after.key if is_rising else key < after.key
    if wanted.sort in ("id", "newest") and not _several_results(wanted) and not wanted.per_frame:
        return beyond
    up_to = key >= after.key if is_rising else key <= after.key
    rest: list[ColumnElement[bool]] = [row > after.row if wanted.sort in ("id", "newest") else row < after.row]
    if wanted.per_frame:
        rest.append(and_(row == after.row, func.coalesce(predictions.c.frame, _NO_FRAME) > after.frame))
    return and_(up_to, or_(beyond, *rest))
