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
    """Why some images cannot be found. Each text continues a sentence that begins with the store ("lists no ...")."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PollLimits:
    """Limits of one poll of one store. If a limit is reached, the troubles of the poll say so."""

    rows_per_list: int = 200_000
    pages_per_list: int = 2_000
    seconds_per_list: float = 600.0
    images_per_poll: int = 2_000_000
    """Largest number of new images in one poll. Changes in the log of an Orthanc server count as images."""
    seconds_per_poll: float = 3600.0

    def reached(self, *, images: int, seconds: float) -> str | None:
        """Return why this poll ends early, or None if it goes on.

        The next poll continues where this poll ended, so that no image is lost.
        """
        if images >= self.images_per_poll:
            return f"has more than {self.images_per_poll:,} new images for one poll: the next poll reads the others"
        if seconds >= self.seconds_per_poll:
            return f"needs more than {self.seconds_per_poll:g} s for one poll: the next poll reads the other images"
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
"""Errors that occur while a feed reads JSON of an unexpected shape. The feed raises UnexpectedError instead."""


class ChangeFeed(Protocol):
    """A store that reports its new images."""

    def since(self, cursor: Cursor | None) -> Iterator[ChangePage]:
        """Yield the pages after the cursor, oldest first; all pages if the cursor is None. Raises WebError."""
