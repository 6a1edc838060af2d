"""Return images page by page, each page with a cursor for the next one."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import islice
from math import isfinite
from typing import Any

from db.engine import Database
from db.queries.filters import ImageFilter
from db.queries.images import positioned_images
from db.queries.order import Position

_DIGEST_BYTES = 6
_LONGEST_CURSOR = 500
_LARGEST_INTEGER = 2**63 - 1


class InvalidCursorError(ValueError):
    """The text is no cursor of this search. The message says what to do, and does not quote the text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """Some rows of a search, in its order."""

    rows: list[dict[str, Any]]
    """Dicts as from `images`."""
    next_cursor: str | None
    """The cursor of the next page; None if this page is the last one."""


def page(database: Database, wanted: ImageFilter, *, cursor: str | None, limit: int) -> Page:
    """Return the first `limit` rows, or those after the page that returned `cursor`; `wanted.limit` has no effect.

    A page costs the same at any depth: it continues at a place in the order and counts no rows. Whatever is inserted
    between two pages, a row that does not change is neither repeated nor left out. A cursor holds ids, scores or times
    and a digest of the filter. Raises InvalidCursorError if the cursor was changed or belongs to another filter or
    order.
    """
    if limit < 1:
        raise ValueError("a page has at least one row")
    after = _decoded(cursor, wanted) if cursor is not None else None
    found = list(islice(positioned_images(database, replace(wanted, limit=limit + 1), after), limit + 1))
    shown = found[:limit]
    more = len(found) > limit
    return Page(rows=[row for row, _ in shown], next_cursor=_encoded(shown[-1][1], wanted) if more else None)


def _encoded(position: Position, wanted: ImageFilter) -> str:
    value = position.value.isoformat() if isinstance(position.value, datetime) else position.value
    parts = [_digest(wanted), value, position.image_id, position.ordinal, position.frame]
    return urlsafe_b64encode(json.dumps(parts, separators=(",", ":")).encode()).decode().rstrip("=")


def _decoded(cursor: str, wanted: ImageFilter) -> Position:
    try:
        digest, value, *numbers = _loaded(cursor)
        image_id, ordinal, frame = map(_integer, numbers)
        position = Position(value=_value(value, wanted), image_id=image_id, ordinal=ordinal, frame=frame)
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise InvalidCursorError("The cursor is not valid: ask for the first page, without a cursor.") from None
    if digest != _digest(wanted):
        raise InvalidCursorError(
            "The cursor belongs to another search: repeat the conditions and the order of the first page, "
            "or ask for the first page, without a cursor."
        )
    return position


def _loaded(cursor: str) -> Any:
    if len(cursor) > _LONGEST_CURSOR:
        raise ValueError
    return json.loads(urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)))


def _value(value: object, wanted: ImageFilter) -> float | datetime | None:
    if wanted.sort in ("id", "newest"):
        return None
    if wanted.sort == "finished":
        moment = datetime.fromisoformat(str(value))
        if moment.tzinfo is None:
            raise ValueError
        return moment.astimezone(UTC)
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise TypeError
    return float(value)


def _integer(value: object) -> int:
    """Return an integer that both databases accept."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    if abs(value) > _LARGEST_INTEGER:
        raise ValueError
    return value


def _digest(wanted: ImageFilter) -> str:
    """Return a digest that identifies the conditions and the order of a search."""
    return blake2b(repr(replace(wanted, limit=None)).encode(), digest_size=_DIGEST_BYTES).hexdigest()
