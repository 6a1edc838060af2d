"""What a store tells when it is asked what is new."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from db.ledger import Arrival, Cursor


@dataclass(frozen=True, kw_only=True, slots=True)
class Count:
    """How many instances a study has by now, as its store says."""

    study_instance_uid: str
    instances: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangePage:
    """A piece of an answer. Its arrivals are to be registered before, or with, moving the cursor."""

    arrivals: Sequence[Arrival]
    counts: Sequence[Count]
    cursor: Cursor
    """What to ask from next time, once this piece is registered."""
    troubles: Sequence[str] = ()
    """Clauses whose subject is the store: what keeps some of its images from being found."""


class ChangeFeed(Protocol):
    """A store that can be asked what is new."""

    def since(self, cursor: Cursor | None) -> Iterator[ChangePage]:
        """The pieces of the answer, oldest first; None: from the beginning. Raises nightread.web.WebError."""
