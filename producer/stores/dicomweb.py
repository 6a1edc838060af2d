"""Find new images in a DICOMweb store: list its studies, and list the instances of studies whose counts changed."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from hashlib import blake2b

from db.ledger import Arrival, Cursor
from nightread.instance import dicomweb_uri, segment
from nightread.uids import own_series_uids
from nightread.web import (
    HttpClient,
    MissingError,
    TooMuchError,
    UnavailableError,
    UnexpectedError,
    WebError,
    bounded_integer,
)
from producer.stores.change_feed import DEFAULT_LIMITS, UNREADABLE, ChangePage, Count, PollLimits
from producer.stores.qido import Listing, QidoSearch, Row, text

KIND = "dicomweb"
_PAGE_ARRIVALS = 200
_MOST_INSTANCES = 2**31 - 1
"""The largest count that the database can store."""
_FAILURES = 3
_LIST_AGAIN_SECONDS = 3600.0
"""After this time the instances of a study are listed again even if its counts are the same: an image may have replaced
another image."""

_STUDY, _SERIES, _INSTANCE = "0020000D", "0020000E", "00080018"
_SERIES_IN_STUDY, _INSTANCES_IN_STUDY = "00201206", "00201208"
_STUDIES = ("study", "studies")
_NO_SERIES = "lists instances without their SeriesInstanceUID, so that they cannot be retrieved"


class DicomwebFeed:
    """Finds new images by QIDO-RS (DICOM PS3.18, section 10.6), which cannot search by time of arrival.

    Studies without a StudyDate, or with a StudyDate before the window, are not found. The cursor holds the numbers of
    series and instances of each listed study in the window, so that its size does not depend on the size of the store.
    """

    def __init__(
        self,
        website: HttpClient,
        *,
        days: int,
        today: Callable[[], date],
        monotonic: Callable[[], float] = time.monotonic,
        limits: PollLimits = DEFAULT_LIMITS,
    ) -> None:
        """The window of study dates begins `days` days before today and has no end."""
        self._search = QidoSearch(website, limits, monotonic=monotonic)
        self._limits = limits
        self._window = timedelta(days=days)
        self._today = today
        self._monotonic = monotonic
        self._started = monotonic()
        self._listed_at: dict[str, float] = {}
        self._short: dict[str, tuple[int, int]] = {}
        self._missing: set[str] = set()
        self._next = ""
        """Key of the study at which the previous poll ended because of a limit."""

    def since(self, cursor: Cursor | None) -> Iterator[ChangePage]:
        """Yield the new images, in at least one page. Raises WebError.

        A page ends after the study that brings it to 200 arrivals.
        """
        try:
            yield from self._pages(cursor or {})
        except UNREADABLE:
            raise UnexpectedError("does not answer like a DICOMweb store: check its address") from None

    def _pages(self, cursor: Cursor) -> Iterator[ChangePage]:
        before, began = cursor.get("studies", {}), self._monotonic()
        listing = self._search.all_rows(
            "studies",
            {"StudyDate": f"{self._today() - self._window:%Y%m%d}-", **_fields(_SERIES_IN_STUDY, _INSTANCES_IN_STUDY)},
            (_STUDY,),
        )
        studies = [_Study.from_row(row) for row in listing.rows]
        result = _PollResult(known={study.key: before[study.key] for study in studies if study.key in before})
        result.note(listing)
        result.images = 0
        self._listed_at = {key: at for key, at in self._listed_at.items() if key in result.known}
        for study in self._from_next(studies):
            if limit := self._limits.reached(images=result.images, seconds=self._monotonic() - began):
                self._next = study.key
                result.troubles.add(limit)
                break
            if self._is_due(study, result.known):
                self._list_instances(study, result)
            if len(result.arrivals) >= _PAGE_ARRIVALS:
                yield result.take_page()
        result.note_short_lists(self._short)
        result.note_missing(self._missing)
        self._short, self._missing = result.short, result.missing
        yield result.take_page()

    def _from_next(self, studies: "Sequence[_Study]") -> "Sequence[_Study]":
        """Return the studies in an order that begins where the previous poll ended, so that each study has its turn."""
        at = next((number for number, study in enumerate(studies) if study.key == self._next), 0)
        self._next = ""
        return [*studies[at:], *studies[:at]]

    def _is_due(self, study: "_Study", known: Mapping[str, list[int]]) -> bool:
        if not study.counts or known.get(study.key) != study.counts:
            return True
        # Studies that were listed before this process began are spread over its first hour, not all listed at its end.
        spread = int(study.key[:4], 16) / 16**4 * _LIST_AGAIN_SECONDS
        listed_at = self._listed_at.get(study.key, self._started - spread)
        return self._monotonic() - listed_at > _LIST_AGAIN_SECONDS

    def _list_instances(self, study: "_Study", result: "_PollResult") -> None:
        """List the instances of a study. If there are fewer than the store counts, the next poll lists them again.

        A list of which the count has not changed is read beyond this count, which may be too small.
        """
        enough = 0 if result.known.get(study.key) == study.counts else sum(study.counts[1:])
        try:
            path = f"studies/{segment(study.uid)}/instances"
            listing = self._search.all_rows(path, _fields(_SERIES), (_INSTANCE, _SERIES), enough=enough)
            found = result.add(study, listing.rows)
        except MissingError:  # the study was deleted after it was listed, unless this happens again
            result.missing.add(study.key)
            return
        except (UnavailableError, UnexpectedError, TooMuchError) as error:
            result.note_failure(error)
            return
        except UNREADABLE:
            result.note_failure(UnexpectedError("sent rows that cannot be interpreted"))
            return
        result.note(listing)
        if study.counts and len(listing.rows) < study.counts[1]:
            result.short[study.key] = study.counts[1], len(listing.rows)
        if study.counts and study.counts[1] <= found:
            result.known[study.key] = study.counts
            self._listed_at[study.key] = self._monotonic()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Study:
    uid: str
    key: str
    """Key of the study in the cursor: a digest, which is shorter than the UID and hides it."""
    counts: list[int]
    """Numbers of series and instances; empty if the store does not return them, or returns no plausible numbers."""

    @classmethod
    def from_row(cls, row: Row) -> "_Study":
        uid, series, instances = text(row, _STUDY), text(row, _SERIES_IN_STUDY), text(row, _INSTANCES_IN_STUDY)
        counts = [bounded_integer(count, most=_MOST_INSTANCES) for count in (series or "0", instances)]
        key = blake2b(uid.encode(errors="replace"), digest_size=8).hexdigest()
        return cls(
            uid=uid, key=key, counts=[count for count in counts if count is not None] if None not in counts else []
        )


@dataclass(kw_only=True, slots=True)
class _PollResult:
    """The arrivals and counts of one poll that are not yielded yet."""

    known: dict[str, list[int]]
    arrivals: list[Arrival] = field(default_factory=list)
    counts: list[Count] = field(default_factory=list)
    troubles: set[str] = field(default_factory=set)
    short: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Short lists, by key of the study: the number of instances by the store's count, and the smaller number listed."""
    missing: set[str] = field(default_factory=set)
    """Keys of the studies that the store lists, but does not have when their instances are requested."""
    failed_in_a_row: int = 0
    images: int = 0
    """Number of images that were listed in this poll."""

    def note_failure(self, error: WebError) -> None:
        """Note that a study cannot be listed. Raises the error of the third failure in a row: the store may be down."""
        self.failed_in_a_row += 1
        if self.failed_in_a_row == _FAILURES:
            raise error
        self.troubles.add(f"does not list the images of a study: it {error}")

    def note(self, listing: Listing) -> None:
        """Note that a list was received, and its trouble if it is incomplete."""
        self.failed_in_a_row = 0
        self.images += len(listing.rows)
        if listing.trouble:
            self.troubles.add(listing.trouble)

    def note_short_lists(self, before: Mapping[str, tuple[int, int]]) -> None:
        """Note the studies whose lists are as short as in the previous poll.

        A list that is short for the first time is not noted: the store may still index images of the study.
        """
        studies = sum(before.get(key) == numbers for key, numbers in self.short.items())
        if studies:
            of = f"in {studies} {_STUDIES[studies > 1]}"
            self.troubles.add(f"lists fewer images than NumberOfStudyRelatedInstances says, {of}")

    def note_missing(self, before: Collection[str]) -> None:
        """Note the studies that were missing in the previous poll too: they were not deleted after they were listed."""
        if studies := len(self.missing.intersection(before)):
            self.troubles.add(
                f"lists {studies} {_STUDIES[studies > 1]}, but does not have their lists of instances (status 404), so "
                "that images are not found: check whether it has `studies/UID/instances`"
            )

    def add(self, study: _Study, rows: Sequence[Row]) -> int:
        """Add the instances of a study that can be retrieved, except objects that nightread sent to the store.

        Such objects are neither registered nor expected. Returns the number of added instances and of these objects.
        """
        ours = own_series_uids(study.uid)
        images = [row for row in rows if text(row, _SERIES) not in ours]
        uris = [uri for row in images if (uri := _uri_of(study, row))]
        if len(uris) < len(images):
            self.troubles.add(_NO_SERIES)
        self.arrivals += [Arrival(uri=uri, size=0, mtime_ns=0) for uri in uris]
        own = len(rows) - len(images)
        if study.counts and study.counts[1] > own:
            self.counts.append(Count(study_instance_uid=study.uid, instances=study.counts[1] - own))
        return len(uris) + own

    def take_page(self) -> ChangePage:
        """Return a page of everything collected, and begin the next page empty."""
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


def _uri_of(study: _Study, row: Row) -> str | None:
    """Return the URI of an instance, or None if a UID is missing."""
    try:
        return dicomweb_uri(study.uid, text(row, _SERIES), text(row, _INSTANCE))
    except ValueError:
        return None
