"""Search a DICOMweb store page by page (QIDO-RS, DICOM PS3.18, section 10.6), and detect incomplete lists."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from nightread.web import HttpClient, MissingError, TooMuchError, UnavailableError, UnexpectedError, WebError
from producer.stores.change_feed import DEFAULT_LIMITS, PollLimits

log = logging.getLogger(__name__)

PAGE_ROWS = 500
_MOST_PAGES_WITHOUT_NEW_ROWS = 3
_REPEATS = "repeats rows on the pages of a list, so that other rows may be missing"
_UNUSABLE = "lists rows whose UID is absent or not a text of at most 128 characters, so that these rows are ignored"
_ADDITIONAL = "additional results"
"""Words in the header `Warning` of a list that the store has cut off (DICOM PS3.18, section 8.3.4.4)."""
_ANNOUNCED = "announces more rows of a list than it returns, so that the missing rows are not found"

_LONGEST_TEXT = 128
"""Twice the length that a UID may have (DICOM PS3.5, section 6.2), since some devices make longer UIDs."""

Row = Mapping[str, Any]
_Key = tuple[str, ...]


class _Row(Mapping[str, Any]):
    """The attributes of a row that were requested. All others are dropped, so that a long list fits into memory."""

    __slots__ = ("_tags", "_texts")

    def __init__(self, tags: tuple[str, ...], row: Row) -> None:
        self._tags = tags
        self._texts = tuple(text(row, tag) for tag in tags)

    def __getitem__(self, tag: str) -> Any:
        try:
            return {"Value": [self._texts[self._tags.index(tag)]]}
        except ValueError:
            raise KeyError(tag) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._tags)

    def __len__(self) -> int:
        return len(self._tags)


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """The rows of one list, without repetitions."""

    rows: Sequence[Row]
    trouble: str | None
    """Why the list may be incomplete, as the rest of a sentence that begins with the store; None if it is complete."""


class QidoSearch:
    """Reads all pages of a list. If the store rejects a page as too large, it is requested again with half the rows.

    The largest number of rows that was not rejected is kept. The next list begins with twice that number (at most 500),
    because the store may have rejected the page for another reason.
    """

    def __init__(
        self,
        website: HttpClient,
        limits: PollLimits = DEFAULT_LIMITS,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._website = website
        self._limits = limits
        self._monotonic = monotonic
        self._page_rows = PAGE_ROWS

    def all_rows(self, path: str, query: Mapping[str, str], unique: Sequence[str], *, enough: int = 0) -> Listing:
        """Request page after page until a page is empty, a limit is reached, or `enough` rows are read (0: all rows).

        The attributes in `unique` together identify a row. A row without the first of these attributes is skipped.
        Instances are identified by their series too, since some stores have one SOP Instance UID in several series.
        Raises WebError if the store is unavailable or rejects the first page.

        A page may be shorter than requested, because some stores limit it; it may repeat rows of an earlier page,
        because the list has changed. A page that equals the first one shows that the store ignores `offset`.
        """
        pages, began = _Pages(self._website, path, query, rows=min(PAGE_ROWS, 2 * self._page_rows)), self._monotonic()
        tags = (*unique, *query.get("includefield", "").split(","))
        rows: dict[_Key, Row] = {}
        unusable: str | None = None
        first: list[_Key] = []
        offset = without_new = 0
        more_announced = False
        while True:
            try:
                page, warning = pages.read(offset)
            except (MissingError, UnexpectedError) as error:
                if not offset or error.status is None:
                    raise
                before = pages.read_or_none(offset - 1)
                is_end = before is not None and _is_known(_keys(before, unique), rows, first)
                return _listing(rows, unusable if is_end else _cut_off("rejects", len(first), offset, pages.first_rows))
            self._remember(pages.most_rows)
            keys = _keys(page, unique)
            new = {key: _Row(tags, row) for key, row in zip(keys, page, strict=True) if key[0] and key not in rows}
            unusable = unusable or (_UNUSABLE if any(_is_unusable(row, unique[0]) for row in page) else None)
            rows |= new
            without_new = 0 if new else without_new + 1
            if not page or 0 < enough <= len(rows):
                return _listing(rows, _ANNOUNCED if more_announced and not page else unusable)
            if offset and keys == first:
                return _listing(rows, _cut_off("ignores", len(first), offset, pages.first_rows))
            if without_new == _MOST_PAGES_WITHOUT_NEW_ROWS:
                return _listing(rows, _REPEATS)
            if limit := self._reached(len(rows), pages.number, self._monotonic() - began):
                return _listing(rows, f"{limit}, so that later rows are not found")
            first = first or keys
            more_announced = _ADDITIONAL in warning.lower()
            offset += len(page)

    def _reached(self, rows: int, pages: int, seconds: float) -> str | None:
        """Return the limit that the list has reached, as the beginning of Listing.trouble, or None if there is none."""
        limits = self._limits
        if rows >= limits.rows_per_list:
            return f"returns a list of more than {limits.rows_per_list:,} rows"
        if pages >= limits.pages_per_list:
            return f"needs more than {limits.pages_per_list:,} pages for a list"
        if seconds >= limits.seconds_per_list:
            return f"needs more than {limits.seconds_per_list:g} s for a list"
        return None

    def _remember(self, rows: int) -> None:
        if rows < self._page_rows:
            log.info("the store accepts smaller pages only", extra={"rows": rows})
        self._page_rows = rows


class _Pages:
    """Requests the pages of one list, with fewer rows after the store refused a page."""

    def __init__(self, website: HttpClient, path: str, query: Mapping[str, str], *, rows: int) -> None:
        self._website = website
        self._path = path
        self._query = query
        self.number = 0
        """Number of pages that were read."""
        self.rows = self.most_rows = self.first_rows = rows
        """Numbers of rows: `rows` is for the next request, `first_rows` was requested for the first page, and
        `most_rows` is the largest number that the store has not rejected. Status 500 does not change `most_rows`,
        because the number of rows may not be its cause."""

    def read(self, offset: int) -> tuple[Sequence[Row], str]:
        """Return a page, and the warning of its response. Raises WebError."""
        while True:
            try:
                limits = {"limit": str(self.rows), "offset": str(offset)}
                page, warning = self._website.json_with_warning(self._path, {**self._query, **limits})
            except WebError as error:
                is_certain = _is_too_many(error, offset)
                if self.rows == 1 or not (is_certain or _may_be_too_many(error, offset)):
                    raise
                self.rows //= 2
                self.most_rows = self.rows if is_certain else self.most_rows
            else:
                self.first_rows = self.first_rows if offset else self.rows
                self.number += 1
                return _rows_of(page), warning

    def read_or_none(self, offset: int) -> Sequence[Row] | None:
        """Return a page, or None if the store rejects this offset. Raises WebError if the store is unavailable."""
        try:
            return self.read(offset)[0]
        except (MissingError, UnexpectedError):
            return None


def _rows_of(page: object) -> Sequence[Row]:
    """Return the rows of a response; an empty response has none. Raises UnexpectedError for any other JSON value."""
    if page is not None and not isinstance(page, list):
        raise UnexpectedError("does not answer like a DICOMweb store: check its address")
    return page or []


def _is_too_many(error: WebError, offset: int) -> bool:
    """Return whether the store rejected the request because it asks for too many rows."""
    if isinstance(error, TooMuchError) or error.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return True
    is_rejection = isinstance(error, UnexpectedError) and (error.status or 0) >= HTTPStatus.BAD_REQUEST
    return is_rejection and not offset


def _may_be_too_many(error: WebError, offset: int) -> bool:
    """Return whether the store failed at the first page of a list, perhaps because of the number of rows."""
    return isinstance(error, UnavailableError) and error.status == HTTPStatus.INTERNAL_SERVER_ERROR and not offset


def _is_known(keys: Sequence[_Key], rows: Mapping[_Key, Row], first: Sequence[_Key]) -> bool:
    """Return whether this page shows that the list has ended: it has only rows that were read before (`rows`).

    The page begins at the last row that was read. It is requested because some stores reject an offset at the end of a
    list instead of returning an empty page. If the page equals the first page, the store ignores `offset`, and the list
    may go on.
    """
    return keys != first and all(key in rows for key in keys if key[0])


def _cut_off(does: str, first: int, returned: int, page_rows: int) -> str | None:
    """Return why a list without further pages may be incomplete; None if its first page has all rows.

    `does` says what the store does with `offset`: "ignores" or "rejects". `page_rows` rows were requested for the first
    page, which has `first` rows. All pages together have `returned` rows.
    """
    if returned == first and (first > page_rows or first == 1):  # no store limits its lists to one row
        return None
    if returned > first or first == page_rows:
        return f"returns no more than the first {returned:,} rows of a list, so that later rows are not found"
    return f"{does} `offset`: if it limits the length of its lists, later rows are not found"


def _listing(rows: Mapping[_Key, Row], trouble: str | None) -> Listing:
    return Listing(rows=list(rows.values()), trouble=trouble)


def _keys(page: Sequence[Row], unique: Sequence[str]) -> list[_Key]:
    return [tuple(text(row, tag) for tag in unique) for row in page]


def _is_unusable(row: Row, tag: str) -> bool:
    """Return whether the row cannot be identified, because `text` finds no value of this attribute."""
    return not text(row, tag)


def text(row: Row, tag: str) -> str:
    """Return the first value of an attribute as text (DICOM PS3.18, annex F), or an empty text.

    Some stores write tags in lower case, or send the padding of a value (NUL or space), which is no part of it.
    A value that is neither text nor a number, or is too long for a UID, counts as absent.
    """
    values = (row.get(tag) or row.get(tag.lower()) or {}).get("Value")
    value = values[0] if isinstance(values, list) and values else None
    if not isinstance(value, (str, int, float)) or isinstance(value, bool):
        return ""
    words = str(value or "").strip(" \0")
    return words if len(words) <= _LONGEST_TEXT else ""
