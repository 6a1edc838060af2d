"""Read the filters of the list of images from its address; they have the names of `nightread query`."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from math import isfinite
from typing import Any, get_args

from starlette.datastructures import QueryParams

from api.pages.links import Values
from api.pages.period import night_of
from db.queries import ImageFilter
from db.queries.filters import Sort
from db.tables import State
from imaging.remarks import Remark
from nightread.nights import Nights
from nightread.plain_text import visible
from nightread.reasons import Reason

_KEY = re.compile(r"[0-9a-f]{64}")
_LONGEST = 400
_SORTS = get_args(Sort)
DEFAULT_SORT = "newest"
MOST_VALUES = 50
"""Values of one filter."""
_LONGEST_NAME = 40
_LARGEST_ID = 2**63 - 1


class SearchError(ValueError):
    """A filter is wrong. The message names it and says what is allowed; it does not quote the value."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageSearch:
    """The filters of a list of images, as conditions and as the query of links."""

    wanted: ImageFilter
    query: Mapping[str, Values]
    """Only what is set, by the names of the address; without cursor and view."""

    def first(self, name: str) -> str:
        """Return the first value of a filter; empty if it is not set."""
        value = self.query.get(name, "")
        found = value[0] if isinstance(value, Sequence) and not isinstance(value, str) and value else value
        return "" if found is None else str(found)


def image_search(parameters: QueryParams, nights: Nights, other_names: Sequence[str] = ()) -> ImageSearch:
    """Read the filters; a night replaces other times. Empty values count as absent.

    Raises SearchError for an invalid value, and for an unknown filter, since the page would show all images without it.
    """
    require_known(parameters, (*_NAMES, *other_names))
    texts = {name: list(_texts(parameters, name)) for name in _NAMES}
    if texts["night"]:  # chosen in the form of a list that had other times
        texts["since"] = texts["until"] = []
    fields: dict[str, Any] = {}
    for name, values in texts.items():
        if values:
            fields |= _fields(name, values, nights)
    fields.setdefault("sort", DEFAULT_SORT)
    query = {name: values if len(values) > 1 else values[0] for name, values in texts.items() if values}
    return ImageSearch(wanted=ImageFilter(**fields), query=query)


def require_known(parameters: QueryParams, names: Sequence[str]) -> None:
    """Raise SearchError for a parameter that is not one of these filters."""
    for name in parameters:
        if name not in names:
            shown = f"{visible(name[:_LONGEST_NAME])} is not a filter of this page"
            raise SearchError(f"{shown}. Its filters are: {', '.join(names)}.")


def _texts(parameters: QueryParams, name: str) -> Iterator[str]:
    values = parameters.getlist(name)
    if len(values) > MOST_VALUES:
        raise SearchError(f"{name} has {len(values):,} values; at most {MOST_VALUES} are allowed.")
    for text in values:
        if len(text) > _LONGEST:
            raise SearchError(f"{name} is too long.")
        if "\0" in text:
            raise SearchError(f"{name} has a character that no value has.")
        if text.strip():
            yield text.strip()


def _fields(name: str, values: list[str], nights: Nights) -> dict[str, Any]:
    """Return the fields of ImageFilter for one parameter."""
    if name in _CHOICES:
        field, allowed = _CHOICES[name]
        if not set(values) <= set(allowed):
            raise SearchError(f"{name} has a value that does not exist: {', '.join(allowed)}.")
        return {field: values[0] if field == "sort" else tuple(values)}
    if name in _TIMES:
        return _times(name, values[0], nights)
    field, parse = _PARSED[name]
    if field not in _SEVERAL and len(values) > 1:
        raise SearchError(f"{name} can have one value only.")
    parsed = tuple(parse(name, value) for value in values)
    return {field: parsed if field in _SEVERAL else parsed[0]}


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


_CHOICES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "state": ("states", tuple(state.value for state in State)),
    "reason": ("reasons", tuple(reason.value for reason in Reason)),
    "remark": ("remarks", tuple(remark.value for remark in Remark)),
    "sort": ("sort", _SORTS),
}
_WORDS = {"true": True, "1": True, "on": True, "false": False, "0": False}
_TIMES = ("night", "since", "until")
_PARSED: Mapping[str, tuple[str, Callable[[str, str], Any]]] = {
    "label": ("labels", _text),
    "source": ("sources", _text),
    "modality": ("modalities", _text),
    "view_position": ("view_positions", _text),  # `view` chooses between table and pictures
    "manufacturer": ("manufacturers", _text),
    "station": ("station_names", _text),
    "model": ("models", _text),
    "study": ("study_instance_uid", _text),
    "series": ("series_instance_uid", _text),
    "sop": ("sop_instance_uid", _text),
    "sha256": ("sha256", _text),
    "id": ("image_ids", _integer),
    "parent": ("parent_ids", _integer),
    "patient_key": ("patient_keys", _key),
    "accession_key": ("accession_keys", _key),
    "min_score": ("min_score", _score),
    "max_score": ("max_score", _score),
    **{name: (name, _flag) for name in ("withdrawn", "replaced", "conflict", "current", "shadow")},
}
_SEVERAL = {
    *("labels", "sources", "modalities", "view_positions", "manufacturers", "station_names", "models"),
    *("image_ids", "parent_ids", "patient_keys", "accession_keys"),
}
_NAMES = (*_CHOICES, *_PARSED, *_TIMES)
