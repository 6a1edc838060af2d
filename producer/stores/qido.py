"""Search a DICOMweb store page by page (QIDO-RS, DICOM PS3.18, section 10.6), and notice lists that are cut off."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from nightread.web import HttpClient, MissingError, TooMuchError, UnavailableError, UnexpectedError, WebError

log = logging.getLogger(__name__)

PAGE_ROWS = 500
_MOST_PAGES_WITHOUT_NEW_ROWS = 3
_REPEATS = "repeats rows on the pages of a list, so that other rows may be missing"
_ADDITIONAL = "additional results"
"""Part of the header `Warning` of a list that the store has limited (DICOM PS3.18, section 8.3.4.4)."""
_ANNOUNCED = "announces more rows of a list than it returns, so that these are not found"

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """The rows of one list, each once."""

    rows: Sequence[Row]
    trouble: str | None
    """A predicate whose subject is the store, if it may have more rows than it returned."""


class QidoSearch:
    """Reads lists to their end. The number of rows per page is halved until the store accepts it, and remembered."""

    def __init__(self, website: HttpClient) -> None:
        self._website = website
        self._page_rows = PAGE_ROWS
        self._is_accepted = False

    def all_rows(self, path: str, query: Mapping[str, str], unique: Sequence[str], *, enough: int = 0) -> Listing:
        """Request page after page until one is empty, or until there are `enough` rows; 0 means no limit.

        The attributes in `unique` together identify a row. A row without the first of these attributes is skipped.
        Instances are identified by their series too, since some stores have one SOP Instance UID in several series.
        Raises WebError for the first page.

        A page may be shorter than requested, because some stores limit it; it may repeat rows of an earlier page,
        because the list has changed. A page that equals the first one shows that the store ignores `offset`.
        """
        rows: dict[tuple[str, ...], Row] = {}
        first: list[tuple[str, ...]] = []
        offset = without_new = 0
        more_announced = False
        while True:
            try:
                page, warning = self._page(path, query, offset)
            except (MissingError, UnexpectedError) as error:
                if not offset or error.status is None:
                    raise
                trouble = None if isinstance(error, MissingError) else self._no_second_page("rejects", len(first))
                return Listing(rows=list(rows.values()), trouble=trouble)
            uids = [tuple(text(row, tag) for tag in unique) for row in page]
            new = {key: row for key, row in zip(uids, page, strict=True) if key[0] and key not in rows}
            rows |= new
            without_new = 0 if new else without_new + 1
            if not page or 0 < enough <= len(rows):
                trouble = _ANNOUNCED if more_announced and not page else None
                return Listing(rows=list(rows.values()), trouble=trouble)
            if offset and uids == first:
                return Listing(rows=list(rows.values()), trouble=self._no_second_page("ignores", len(first)))
            if without_new == _MOST_PAGES_WITHOUT_NEW_ROWS:
                return Listing(rows=list(rows.values()), trouble=_REPEATS)
            first = first or uids
            more_announced = _ADDITIONAL in warning.lower()
            offset += len(page)

    def _page(self, path: str, query: Mapping[str, str], offset: int) -> tuple[Sequence[Row], str]:
        """Return a page, and the warning of its response."""
        rows = self._page_rows
        while True:
            try:
                limits = {"limit": str(rows), "offset": str(offset)}
                page, warning = self._website.json_with_warning(path, {**query, **limits})
            except WebError as error:
                if rows == 1 or not self._may_be_too_many(error, offset):
                    raise
                rows //= 2
            else:
                self._accept(rows)
                return list(page or []), warning

    def _may_be_too_many(self, error: WebError, offset: int) -> bool:
        """Return whether the store may accept a request for fewer rows."""
        if isinstance(error, TooMuchError) or error.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return True
        if isinstance(error, UnexpectedError):
            return error.status is not None and error.status >= HTTPStatus.BAD_REQUEST and not offset
        is_failure = isinstance(error, UnavailableError) and error.status == HTTPStatus.INTERNAL_SERVER_ERROR
        return is_failure and not self._is_accepted

    def _no_second_page(self, does: str, returned: int) -> str | None:
        """Describe a store without a second page; None if it ignores the limit too, and returned all rows at once."""
        if returned > self._page_rows or returned == 1:  # no store limits its lists to one row
            return None
        if returned == self._page_rows:
            return f"returns no more than the first {returned} rows of a list, so that later rows are not found"
        return f"{does} `offset`: if it limits the length of its lists, later rows are not found"

    def _accept(self, rows: int) -> None:
        if rows < self._page_rows:
            log.info("the store accepts smaller pages only", extra={"rows": rows})
        self._page_rows, self._is_accepted = rows, True


def text(row: Row, tag: str) -> str:
    """Return the first value of an attribute as text (DICOM PS3.18, annex F), or an empty text."""
    values = row.get(tag, {}).get("Value") or [""]
    return str(values[0] or "")
