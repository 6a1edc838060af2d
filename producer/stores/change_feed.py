"""Define the change feed of a store: the interface that both kinds of store implement."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from db.ledger import Arrival, Cursor


@dataclass(frozen=True, kw_only=True, slots=True)
class Count:
    """The number of instances that a study has, according to its store."""

    study_instance_uid: str
    instances: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangePage:
    """A page of changes. Register its arrivals before the cursor is stored, or in the same transaction."""

    arrivals: Sequence[Arrival]
    counts: Sequence[Count]
    cursor: Cursor
    """The position after this page, from which the next request continues."""
    troubles: Sequence[str] = ()
    """Reasons why some images cannot be found, as predicates whose subject is the store ("lists no ...")."""


def whole_number(value: object, *, most: int) -> int | None:
    """Convert a number of a response, possibly a text or a decimal number; None if it is none, or above `most`."""
    try:
        number = int(float(str(value)))
    except (OverflowError, ValueError):
        return None
    return number if 0 <= number <= most else None


class ChangeFeed(Protocol):
    """A store that reports its new images."""

    def since(self, cursor: Cursor | None) -> Iterator[ChangePage]:
        """Yield the pages after the cursor, oldest first, or all pages if it is None. Raises nightread.web.WebError."""
