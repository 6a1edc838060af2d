"""Sort images, and continue after the last row of an earlier page."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, func, or_

from db.queries.filters import ImageFilter, Sort, image_id
from db.store_tables import BLOCK
from db.tables import instances, predictions, work

_NO_FRAME = -1
_VALUES: dict[Sort, ColumnElement[Any]] = {
    "score": work.c.score,
    "finished": work.c.finished_at,
    "suspicion": work.c.suspicion,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Position:
    """The place of one row in the order of a search."""

    value: float | datetime | None
    """The value by which the rows are sorted; None if they are sorted by the id of the image."""
    image_id: int
    ordinal: int
    """Distinguishes the results of several bundles for one image."""
    frame: int
    """With `per_frame` the number of the frame; -1 if there is none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Key:
    """One expression of ORDER BY, and its value in the row after which the search continues."""

    column: ColumnElement[Any]
    falls: bool
    after: Any

    @property
    def order(self) -> ColumnElement[Any]:
        return self.column.desc() if self.falls else self.column

    @property
    def beyond(self) -> ColumnElement[bool]:
        beyond: ColumnElement[bool] = self.column < self.after if self.falls else self.column > self.after
        return beyond

    @property
    def up_to(self) -> ColumnElement[bool]:
        up_to: ColumnElement[bool] = self.column <= self.after if self.falls else self.column >= self.after
        return up_to


def in_order(
    statement: Select[Any],
    wanted: ImageFilter,
    after: Position | None,
    *,
    few: bool = False,
    block: ColumnElement[int] | None = None,
) -> Select[Any]:
    """Add the order of the search to the statement, and leave out rows up to the position `after`.

    The columns that `position_of` reads are added too. `few` says that another condition leaves only a few rows: these
    are sorted, and no index is read in its order. If the statement is joined with blocks (256 consecutive ids each),
    `block` is their column.
    """
    keys = list(_keys(wanted, after, few=few))
    if block is not None:
        keys.insert(0, _Key(column=block, falls=wanted.sort != "id", after=after and after.image_id // BLOCK))
    if wanted.sort in _VALUES:
        statement = statement.where(keys[0].column.is_not(None))
        statement = statement.add_columns(_VALUES[wanted.sort].label("sort_value"))
    statement = statement.add_columns(work.c.instance_id.label("sort_image"), work.c.ordinal.label("sort_ordinal"))
    statement = statement.order_by(*(key.order for key in keys))
    return statement if after is None else statement.where(_behind(keys))


def position_of(row: Row[Any], wanted: ImageFilter) -> Position:
    """Return the position of a row of a statement that `in_order` made."""
    frame = row.frame if wanted.per_frame else None
    return Position(
        value=row.sort_value if wanted.sort in _VALUES else None,
        image_id=row.sort_image,
        ordinal=row.sort_ordinal,
        frame=_NO_FRAME if frame is None else frame,
    )


def _keys(wanted: ImageFilter, after: Position | None, *, few: bool) -> Iterator[_Key]:
    """Yield the sort keys. The first keys are in the order of an index; all keys together are unique for each row."""
    if wanted.sort in _VALUES:
        yield _Key(column=_VALUES[wanted.sort], falls=True, after=after and after.value)
        image: ColumnElement[int] = work.c.instance_id
    else:
        image = instances.c.id + 0 if few else image_id(wanted)
    yield _Key(column=image, falls=wanted.sort != "id", after=after and after.image_id)
    if wanted.models or wanted.bundle_ids or wanted.shadow:
        yield _Key(column=work.c.ordinal, falls=False, after=after and after.ordinal)
    if wanted.per_frame:
        frame = func.coalesce(predictions.c.frame, _NO_FRAME)
        yield _Key(column=frame, falls=False, after=after and after.frame)


def _behind(keys: list[_Key]) -> ColumnElement[bool]:
    """Return the condition that a row comes after the position.

    The condition begins with a range of the first key, because an index finds it.
    """
    if len(keys) == 1:
        return keys[0].beyond
    equal: list[ColumnElement[bool]] = []
    later = []
    for key in keys:
        later.append(and_(*equal, key.beyond))
        equal.append(key.column == key.after)
    return and_(keys[0].up_to, or_(*later))
