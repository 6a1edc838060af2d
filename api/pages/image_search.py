"""Read the filters of the list of images from its address. Their names are those of /v1/results."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from math import isfinite
from typing import Any

from starlette.datastructures import QueryParams

from api.pages.links import Values
from api.pages.period import Period, current_periods, night_of
from api.search_filters import SEARCH_FILTERS, Kind, conditions_of
from db.queries import ImageFilter
from nightread.content_digest import is_content, is_sha256
from nightread.nights import Nights
from nightread.plain_text import visible

_KEY = re.compile(r"[0-9a-f]{64}")
_LONGEST = 400
DEFAULT_SORT = "newest"
MOST_VALUES = 50
"""Largest number of values of one filter."""
_LONGEST_NAME = 40
_LARGEST_ID = 2**63 - 1


class SearchError(ValueError):
    """A filter is wrong. The message names the filter and the allowed values; it does not quote the wrong value."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageSearch:
    """The filters of a list of images, as an ImageFilter and as parameters of links."""

    wanted: ImageFilter
    query: Mapping[str, Values]
    """Maps the name of each filter that is set to its value or values. `cursor` and `view` are left out."""

    def first(self, name: str) -> str:
        """Return the first value of a filter; empty if it is not set."""
        value = self.query.get(name, "")
        found = value[0] if isinstance(value, Sequence) and not isinstance(value, str) and value else value
        return "" if found is None else str(found)


def image_search(parameters: QueryParams, nights: Nights, other_names: Sequence[str] = ()) -> ImageSearch:
    """Read the filters. If a night is given, other times are ignored. Empty values count as absent.

    Raises SearchError for an invalid value and for an unknown filter. If an unknown filter were ignored, the page would
    show images that the person did not search.
    """
    require_known(parameters, (*_NAMES, *other_names))
    texts = {name: list(_texts(parameters, name)) for name in _NAMES}
    if texts["night"]:  # the form of a list that already has times adds the night to them
        texts["since"] = texts["until"] = []
    fields = conditions_of({name: _value(name, texts[name]) for name in SEARCH_FILTERS if texts[name]})
    for name in _TIMES:
        if texts[name]:
            fields |= _times(name, texts[name][0], nights)
    fields.setdefault("sort", DEFAULT_SORT)
    wanted = ImageFilter(**fields)
    _require_ranges(wanted)
    query = {name: values if len(values) > 1 else values[0] for name, values in texts.items() if values}
    return ImageSearch(wanted=wanted, query=query)


def night_begun_with(search: ImageSearch, nights: Nights, now: datetime) -> Period | None:
    """Return the current or last night if the search begins with it and has no end, else None."""
    night, _ = current_periods(nights, now)
    return night if search.wanted.since == night.since and search.wanted.until is None else None


def _require_ranges(wanted: ImageFilter) -> None:
    """Raise SearchError if no image can match because the ends of a range are exchanged."""
    if wanted.since and wanted.until and wanted.since >= wanted.until:
        raise SearchError("No time is between since and until: since must be the earlier one.")
    if wanted.min_score is not None and wanted.max_score is not None and wanted.min_score > wanted.max_score:
        raise SearchError("No score is between min_score and max_score: min_score must not be the larger one.")


def require_known(parameters: QueryParams, names: Sequence[str]) -> None:
    """Raise SearchError if a parameter is not one of these filters."""
    for name in parameters:
        if name not in names:
            shown = f"{visible(name[:_LONGEST_NAME])} is not a filter of this page"
            raise SearchError(f"{shown}. Use one of {', '.join(names)}.")


def _texts(parameters: QueryParams, name: str) -> Iterator[str]:
    values = parameters.getlist(name)
    if len(values) > MOST_VALUES:
        raise SearchError(f"{name} has {len(values):,} values; at most {MOST_VALUES} are allowed.")
    for text in values:
        if len(text) > _LONGEST:
            raise SearchError(f"{name} is too long.")
        if "\0" in text:
            raise SearchError(f"{name} has a character that is not allowed.")
        if text.strip():
            yield text.strip()


def _value(name: str, texts: list[str]) -> Any:
    """Return the value of one filter, or a tuple of values if it can have several."""
    found = SEARCH_FILTERS[name]
    if found.kind == "word":
        if not set(texts) <= set(found.words):
            raise SearchError(f"{name} has an unknown value: use {', '.join(found.words)}.")
    elif len(texts) > 1 and not found.several:
        raise SearchError(f"{name} can have one value only.")
    values = tuple(_PARSERS[found.kind](name, text) for text in texts)
    return values if found.several else values[0]


def _times(name: str, value: str, nights: Nights) -> dict[str, Any]:
    try:
        if name == "night":
            period = night_of(nights, date.fromisoformat(value))
            return {"since": period.since, "until": period.until}
        return {name: nights.utc(datetime.fromisoformat(value))}
    except (ValueError, OverflowError):
        example = "2026-11-05" if name == "night" else "2026-11-05T18:00"
        raise SearchError(f"{name} must be a time such as {example}.") from None


def _text(_name: str, value: str) -> str:
    return value


def _integer(name: str, value: str) -> int:
    if not re.fullmatch(r"\d{1,19}", value, re.ASCII) or int(value) > _LARGEST_ID:
        raise SearchError(f"{name} must be the id of an image.")
    return int(value)


def _flag(name: str, value: str) -> bool:
    if value not in _WORDS:
        raise SearchError(f"{name} must be true or false.")
    return _WORDS[value]


def _score(name: str, value: str) -> float:
    try:
        score = float(value)
    except ValueError:
        score = float("nan")
    if not isfinite(score) or not 0 <= score <= 1:
        raise SearchError(f"{name} must be a number from 0 to 1.")
    return score


def _key(name: str, value: str) -> str:
    if not _KEY.fullmatch(value):
        raise SearchError(f"{name} must be 64 hex digits.")
    return value


def _content(name: str, value: str) -> str:
    if not is_content(value):
        raise SearchError(f"{name} must be blake3: or sha256: and 64 hex digits.")
    return value


def _sha256(name: str, value: str) -> str:
    if not is_sha256(value):
        raise SearchError(f"{name} must be 64 hex digits.")
    return value


_WORDS = {"true": True, "1": True, "on": True, "false": False, "0": False}
_TIMES = ("night", "since", "until")
_PARSERS: Mapping[Kind, Callable[[str, str], Any]] = {
    "word": _text,
    "text": _text,
    "id": _integer,
    "key": _key,
    "content": _content,
    "sha256": _sha256,
    "score": _score,
    "flag": _flag,
}
_NAMES = (*SEARCH_FILTERS, *_TIMES)
