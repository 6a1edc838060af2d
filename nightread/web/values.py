"""Read values of responses whose types and sizes are not known: JSON with a limit, and integers with a bound."""

import json
import re
from typing import Any

from nightread.web.errors import TooMuchError, UnexpectedError

JSON_BYTES = 32 * 1024**2
"""Largest JSON response. A page of 500 rows has about 1 MiB, but some stores return all rows at once."""
_JSON_VALUES = 2_000_000
"""Maximum number of values in one response. A limit on its bytes alone does not bound the memory: Python needs
up to 200 bytes for a value of 2 bytes."""
_LONGEST_TEXT = 40
_WHOLE = re.compile(r"\+?([0-9]+)(?:\.0*)?")


def bounded_integer(value: object, *, most: int) -> int | None:
    """Return a value of a response if it is a whole number from 0 to `most`, else None.

    Every integer of a store or destination passes through this function. The number may be a float such as 1.0, which
    some stores send, or text.
    """
    number: int | None = None
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, float) and value.is_integer():  # neither an infinite number nor NaN
        number = int(value)
    elif isinstance(value, str) and len(value) <= _LONGEST_TEXT and (found := _WHOLE.fullmatch(value.strip())):
        number = int(found[1])
    return number if number is not None and 0 <= number <= most else None


def parse_json(body: bytes) -> Any:
    """Return the value of a JSON text. `NaN` and `Infinity`, which are not JSON, become None.

    If an object repeats a name, the last value counts. Raises UnexpectedError for invalid JSON and for JSON nested
    more deeply than Python can read, and TooMuchError for more than two million values.
    """
    if sum(map(body.count, (b",", b"[", b"{"))) > _JSON_VALUES:
        raise TooMuchError(f"sent more than {_JSON_VALUES:,} values in one response")
    try:
        return json.loads(body, parse_constant=lambda _name: None)
    except (ValueError, RecursionError):
        raise UnexpectedError("sent invalid JSON: check its URL") from None
