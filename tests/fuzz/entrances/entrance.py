"""Define an entrance: where bytes from outside come in, and what may happen to them."""

import random
from collections.abc import Callable
from typing import NamedTuple


class Entrance(NamedTuple):
    """One way into nightread.

    `make` returns the bytes of one trial; the same random numbers give the same bytes. `enter` treats them as nightread
    does and returns a short word for the outcome. Each exception that it raises is a finding, AssertionError for a
    result that nightread must not give.
    """

    name: str
    make: Callable[[random.Random], bytes]
    enter: Callable[[bytes], str]


class Trial(NamedTuple):
    """The number of a trial within a campaign, and its bytes."""

    number: int
    data: bytes


def require_shown_safely(error: Exception) -> None:
    """Raise AssertionError if the message of an error could control the terminal of the person who reads it."""
    if not str(error).isprintable():
        raise AssertionError(f"unprintable message: {str(error)!r}")


def trial(entrance: Entrance, seed: int, number: int) -> Trial:
    """Return the trial with this number. The same seed and number always give the same bytes."""
    return Trial(number, entrance.make(random.Random(f"{entrance.name}/{seed}/{number}")))
