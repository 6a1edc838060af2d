"""Define the change feed of a store: the interface that both kinds of store implement, and the limits of a poll."""

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


@dataclass(frozen=True, kw_only=True, slots=True)
class PollLimits:
    """Limits of one poll of one store. Where one is reached, the poll says so among its troubles."""

    rows_per_list: int = 200_000
    pages_per_list: int = 2_000
    seconds_per_list: float = 600.0
    images_per_poll: int = 2_000_000
    """Changes in the log of an Orthanc server count as images."""
    seconds_per_poll: float = 3600.0

    def reached(self, *, images: int, seconds: float) -> str | None:
        """Return why a poll ends before the store has told everything, or None if it goes on.

        The next poll continues there, so that nothing is lost.
        """
        if images >= self.images_per_poll:
            return f"has more than {self.images_per_poll:,} new images for one poll: the next poll continues there"
        if seconds >= self.seconds_per_poll:
            return f"needs more than {self.seconds_per_poll:g} s for one poll: the next poll continues there"
        return None


DEFAULT_LIMITS = PollLimits()

UNREADABLE: tuple[type[Exception], ...] = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What a feed raises for JSON of another shape than expected. Feeds turn it into UnexpectedError."""


class ChangeFeed(Protocol):
    """A store that reports its new images."""

    def since(self, cursor: Cursor | None) -> Iterator[ChangePage]:
        """Yield the pages after the cursor, oldest first, or all pages if it is None. Raises nightread.web.WebError."""
