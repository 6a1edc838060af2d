"""A DICOMweb store: its studies are listed again and again, and looked into where their counts have changed."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from hashlib import blake2b
from typing import Any

from db.ledger import Arrival, Cursor
from nightread.instance import dicomweb_uri, segment
from nightread.web import HttpClient, MissingError, UnavailableError, UnexpectedError, WebError
from producer.stores.change_feed import ChangePage, Count

KIND = "dicomweb"
PAGE_ROWS = 500
_PIECE_ARRIVALS = 200
_FAILURES = 3
_LOOK_AGAIN_SECONDS = 3600.0
"""A study is looked into that often even if its counts stay: one image may have gone and another come."""

_STUDY, _SERIES, _INSTANCE = "0020000D", "0020000E", "00080018"
_SERIES_IN_STUDY, _INSTANCES_IN_STUDY = "00201206", "00201208"
_CUT_OFF = f"gives no more than the first {PAGE_ROWS} rows of a list: what lies behind them is not found"
_NO_SERIES = "lists instances without their SeriesInstanceUID: they cannot be retrieved"

_Row = Mapping[str, Any]


class DicomwebFeed:
    """Searches by QIDO-RS (DICOM PS3.18, section 10.6), which knows no time of arrival.

    Studies whose StudyDate lies before the window, or that have none, are not found. The cursor holds the counts of
    each study in the window that was looked into with success, so that it does not grow with the store.
    """

    def __init__(
        self,
        site: HttpClient,
        *,
        days: int,
        today: Callable[[], date],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """The window begins `days` days before today; whatever is dated later is in it."""
        self._site = site
        self._window = timedelta(days=days)
        self._today = today
        self._monotonic = monotonic
        self._started = monotonic()
        self._looked_at: dict[str, float] = {}

    def since(self, cursor: Cursor | None) -> Iterator[ChangePage]:
        """A piece for some 200 arrivals each, and at least one. Raises WebError."""
        try:
            yield from self._pieces(cursor or {})
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            raise UnexpectedError("does not answer as a DICOMweb store: is that its address?") from None

    def _pieces(self, cursor: Cursor) -> Iterator[ChangePage]:
        before = cursor.get("studies", {})
        listing = self._search(
            "studies",
            {"StudyDate": f"{self._today() - self._window:%Y%m%d}-", **_fields(_SERIES_IN_STUDY, _INSTANCES_IN_STUDY)},
            (_STUDY,),
        )
        studies = [_Study.of(row) for row in listing.rows]
        look = _Look(known={study.key: before[study.key] for study in studies if study.key in before})
        look.note(listing)
        self._looked_at = {key: at for key, at in self._looked_at.items() if key in look.known}
        for study in studies:
            if self._is_due(study, look.known):
                self._look_into(study, look)
            if len(look.arrivals) >= _PIECE_ARRIVALS:
                yield look.take()
        yield look.take()

    def _is_due(self, study: "_Study", known: Mapping[str, list[int]]) -> bool:
        if not study.counts or known.get(study.key) != study.counts:
            return True
        # Those that an earlier start looked into come up one after the other, not all at the end of the first hour.
        spread = int(study.key[:4], 16) / 16**4 * _LOOK_AGAIN_SECONDS
        looked_at = self._looked_at.get(study.key, self._started - spread)
        return self._monotonic() - looked_at > _LOOK_AGAIN_SECONDS

    def _look_into(self, study: "_Study", look: "_Look") -> None:
        """A study that holds less than it counts is not settled: its store is still sorting in what it received."""
        try:
            path = f"studies/{segment(study.uid)}/instances"
            listing = self._search(path, _fields(_SERIES), (_INSTANCE, _SERIES), enough=sum(study.counts[1:]))
        except MissingError:  # deleted since it was listed
            return
        except (UnavailableError, UnexpectedError) as error:
            look.note_failure(error)
            return
        look.note(listing)
        found = look.add(study, listing.rows)
        if study.counts and study.counts[1] <= found:
            look.known[study.key] = study.counts
            self._looked_at[study.key] = self._monotonic()

    def _search(self, path: str, query: Mapping[str, str], unique: Sequence[str], *, enough: int = 0) -> "_Listing":
        """Page after page, until one brings nothing new; or `enough` rows, if that is known.

        Rows are told apart by the attributes `unique`, of which the first is never missing: instances by their series
        too, since some stores hold one SOP Instance UID in several.

        A store that ignores `limit` gives all at once, one that ignores `offset` the same again.
        """
        rows: dict[tuple[str, ...], _Row] = {}
        offset = 0
        while True:
            page = self._site.json(path, {**query, "limit": str(PAGE_ROWS), "offset": str(offset)}) or []
            named = [(tuple(_text(row, tag) for tag in unique), row) for row in page]
            new = {uids: row for uids, row in named if uids[0] and uids not in rows}
            rows |= new
            offset += len(page)
            if not new or 0 < enough <= len(rows):
                return _Listing(rows=list(rows.values()), is_cut_off=not new and len(page) == PAGE_ROWS)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Listing:
    rows: Sequence[_Row]
    is_cut_off: bool
    """There may be more that the store does not give out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Study:
    uid: str
    key: str
    """Under which the cursor has it: shorter than the UID, and tells nobody what it is."""
    counts: list[int]
    """Numbers of series and instances; empty where the store does not count."""

    @classmethod
    def of(cls, row: _Row) -> "_Study":
        uid, series, instances = _text(row, _STUDY), _text(row, _SERIES_IN_STUDY), _text(row, _INSTANCES_IN_STUDY)
        key = blake2b(uid.encode(), digest_size=8).hexdigest()
        return cls(uid=uid, key=key, counts=[int(series or 0), int(instances)] if instances else [])


@dataclass(kw_only=True, slots=True)
class _Look:
    """What one look at the store has found, and not given out yet."""

    known: dict[str, list[int]]
    arrivals: list[Arrival] = field(default_factory=list)
    counts: list[Count] = field(default_factory=list)
    troubles: set[str] = field(default_factory=set)
    failed_in_a_row: int = 0

    def note_failure(self, error: WebError) -> None:
        """One study that its store cannot list hides no other; a store that fails again and again is down."""
        self.failed_in_a_row += 1
        if self.failed_in_a_row == _FAILURES:
            raise error
        self.troubles.add(f"does not list the images of a study: it {error}")

    def note(self, listing: _Listing) -> None:
        """Remember that a list was not whole."""
        self.failed_in_a_row = 0
        if listing.is_cut_off:
            self.troubles.add(_CUT_OFF)

    def add(self, study: _Study, rows: Sequence[_Row]) -> int:
        """The study's instances that can be retrieved. Returns their number."""
        uris = [uri for row in rows if (uri := _uri_of(study, row))]
        if len(uris) < len(rows):
            self.troubles.add(_NO_SERIES)
        self.arrivals += [Arrival(uri=uri, size=0, mtime_ns=0) for uri in uris]
        if study.counts:
            self.counts.append(Count(study_instance_uid=study.uid, instances=study.counts[1]))
        return len(uris)

    def take(self) -> ChangePage:
        """What there is; the next piece begins empty."""
        change_page = ChangePage(
            arrivals=self.arrivals,
            counts=self.counts,
            cursor={"studies": dict(self.known)},
            troubles=sorted(self.troubles),
        )
        self.arrivals, self.counts = [], []
        return change_page


def _fields(*tags: str) -> dict[str, str]:
    return {"includefield": ",".join(tags)}


def _uri_of(study: _Study, row: _Row) -> str | None:
    """None for an instance that lacks what its address is made of."""
    try:
        return dicomweb_uri(study.uid, _text(row, _SERIES), _text(row, _INSTANCE))
    except ValueError:
        return None


def _text(row: _Row, tag: str) -> str:
    """The first value of an attribute (DICOM PS3.18, annex F); empty where there is none."""
    values = row.get(tag, {}).get("Value") or [""]
    return str(values[0] or "")
