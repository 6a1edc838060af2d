"""Find new images in an Orthanc server by its change log (its own REST API)."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from db.ledger import Arrival, Cursor
from nightread.instance import orthanc_uri, segment
from nightread.uids import OWN_CLASSES, own_series_uids
from nightread.web import HttpClient, MissingError, UnexpectedError, bounded_integer
from producer.stores.change_feed import DEFAULT_LIMITS, UNREADABLE, ChangePage, Count, PollLimits

log = logging.getLogger(__name__)

KIND = "orthanc"
PAGE_CHANGES = 500
_MOST = 2**63 - 1
"""The largest integer that the database can store. A larger size or time counts as unknown; a larger change
number is an error."""
_TEXT_LENGTH, _MARK_LENGTH = 128, 200


class OrthancFeed:
    """Reads `/changes` page by page (Orthanc Book, "REST API", "Tracking changes"); needs Orthanc 1.9.4 or later.

    The cursor is the number and the mark of the last change that was read. If Orthanc now has another change with this
    number, or only smaller numbers, its database was replaced: the log is read again from its beginning. Images that
    are already registered are skipped.
    """

    def __init__(
        self,
        website: HttpClient,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        limits: PollLimits = DEFAULT_LIMITS,
    ) -> None:
        self._website = website
        self._monotonic = monotonic
        self._limits = limits

    def since(self, cursor: Cursor | None) -> Iterator[ChangePage]:
        """Read `/changes` from the cursor on, and yield a ChangePage for each response. Raises WebError."""
        try:
            yield from self._pages(_Position.from_cursor(cursor))
        except UNREADABLE:
            raise UnexpectedError("does not answer like an Orthanc server: check its address") from None

    def _pages(self, position: "_Position") -> Iterator[ChangePage]:
        began, read, was_replaced = self._monotonic(), 0, False
        while True:
            page = self._page(position)
            if page.is_of_another_database(position):
                if was_replaced:
                    raise UnexpectedError("sends another change log with each request")
                log.warning(
                    "the store's change log does not continue from the last poll: it is read again from its beginning"
                )
                position, was_replaced = _Position(), True
                continue
            changes, position = page.after(position), page.end(position)
            read += len(changes)
            is_end = page.done or not changes
            limit = None if is_end else self._limits.reached(images=read, seconds=self._monotonic() - began)
            yield ChangePage(
                arrivals=self._arrivals(changes),
                counts=self._counts(changes),
                cursor=position.as_cursor(),
                troubles=[limit] if limit else [],
            )
            if is_end or limit:
                return

    def _page(self, position: "_Position") -> "_Page":
        """Request the changes after this position, and the change at it: it shows whether the database was replaced."""
        query = {"since": str(max(0, position.number - 1)), "limit": str(PAGE_CHANGES)}
        return _Page.from_json(self._website.json("changes", query))

    def _arrivals(self, changes: Sequence["_Change"]) -> list[Arrival]:
        """Return the new instances that still exist; one request returns size and time of all of them.

        Instances that were deleted meanwhile are omitted; Orthanc deletes their changes, too. Reports that nightread
        sent to this server are omitted as well.
        """
        ids = list(dict.fromkeys(change.resource for change in changes if change.kind == "NewInstance"))
        if not ids:
            return []
        found = self._bulk(ids)
        if len(found) < len(ids):
            log.info("instances were deleted before they were registered", extra={"instances": len(ids) - len(found)})
        own = self._own_series(found)
        return [
            Arrival(
                uri=orthanc_uri(known["ID"]),
                size=bounded_integer(known["FileSize"], most=_MOST) or 0,
                mtime_ns=_stored_at(known),
            )
            for known in found
            if known.get("ParentSeries") not in own
        ]

    def _own_series(self, found: Sequence[Mapping[str, Any]]) -> set[str]:
        """Return Orthanc's ids of the series that hold objects of nightread, among the series of these instances."""
        ids = {known["ParentSeries"] for known in found if _may_be_own(known)}
        series = self._bulk(sorted(ids)) if ids else []
        studies = self._bulk(sorted({known["ParentStudy"] for known in series})) if series else []
        uids = {known["ID"]: known["MainDicomTags"].get("StudyInstanceUID", "") for known in studies}
        return {known["ID"] for known in series if _holds_own(known, uids.get(known["ParentStudy"], ""))}

    def _counts(self, changes: Sequence["_Change"]) -> list[Count]:
        """Return the counts of existing studies that received no instance for a while (Orthanc's `StableAge`)."""
        ids = list(dict.fromkeys(change.resource for change in changes if change.kind == "StableStudy"))
        if not ids:
            return []
        studies = {known["ID"]: known["MainDicomTags"].get("StudyInstanceUID") for known in self._bulk(ids)}
        counts = {orthanc_id: self._images_of(orthanc_id, uid) for orthanc_id, uid in studies.items() if uid}
        return [Count(study_instance_uid=studies[key], instances=count) for key, count in counts.items() if count]

    def _images_of(self, study: str, uid: str) -> int:
        """Return the number of instances of a study, without objects that nightread sent to the server."""
        try:
            series = self._website.json(f"studies/{segment(study)}/series")
        except MissingError:
            return 0
        return sum(len(known["Instances"]) for known in series if not _holds_own(known, uid))

    def _bulk(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return the resources that still exist, in the order of `ids`."""
        try:
            answer = self._website.json("tools/bulk-content", post={"Resources": ids, "Metadata": True})
        except MissingError:
            raise UnexpectedError("is older than Orthanc 1.9.4: add it as a DICOMweb store instead") from None
        known = {resource["ID"]: resource for resource in answer}
        return [known[orthanc_id] for orthanc_id in ids if orthanc_id in known]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Change:
    number: int
    kind: str
    resource: str
    mark: str
    """Distinguishes this change from one with the same number in another database."""

    @classmethod
    def from_json(cls, change: Mapping[str, Any]) -> "_Change":
        kind, resource = _text(change["ChangeType"]), _text(change["ID"])
        mark = f"{kind} {resource} {_text(change.get('Date'))}"
        if len(mark) > _MARK_LENGTH or not mark.isprintable():  # the database cannot hold every text
            mark = sha256(mark.encode(errors="replace")).hexdigest()
        return cls(number=_number(change["Seq"]), kind=kind, resource=resource, mark=mark)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Position:
    """The last change that was read. Number 0 means that no change was read yet."""

    number: int = 0
    mark: str = ""

    @classmethod
    def from_cursor(cls, cursor: Cursor | None) -> "_Position":
        return cls(number=int(cursor["last"]), mark=str(cursor["mark"])) if cursor else cls()

    def as_cursor(self) -> dict[str, int | str]:
        return {"last": self.number, "mark": self.mark}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Page:
    """A response to `/changes`."""

    changes: Sequence[_Change]
    last: int
    """Number of the last change of the page, or of the whole log if the page is empty."""
    done: bool

    @classmethod
    def from_json(cls, answer: Any) -> "_Page":
        listed = answer["Changes"]
        changes = [_Change.from_json(change) for change in listed[:PAGE_CHANGES]]
        return cls(
            changes=changes, last=_number(answer["Last"]), done=bool(answer["Done"]) and len(listed) <= PAGE_CHANGES
        )

    def is_of_another_database(self, position: _Position) -> bool:
        """Return whether the database was replaced. A missing change is no proof, since Orthanc deletes changes."""
        marks = [change.mark for change in self.changes if change.number == position.number]
        return position.number > 0 and (self.last < position.number or any(mark != position.mark for mark in marks))

    def after(self, position: _Position) -> list[_Change]:
        """Return the changes after this position."""
        return [change for change in self.changes if change.number > position.number]

    def end(self, position: _Position) -> _Position:
        """Return the position after this page."""
        if not self.changes or self.changes[-1].number <= position.number:
            return position
        return _Position(number=self.changes[-1].number, mark=self.changes[-1].mark)


def _number(value: object) -> int:
    """Return a number of the change log. Raises ValueError for a value that is no integer from 0 to 2**63 - 1."""
    number = bounded_integer(value, most=_MOST)
    if number is None:
        raise ValueError("not a number of a change")
    return number


def _text(value: object) -> str:
    """Return a text of the change log; None becomes "None". Raises ValueError for lists, objects and long texts."""
    if isinstance(value, (list, dict)) or len(text := str(value)) > _TEXT_LENGTH:
        raise ValueError("not a text of a change")
    return text


def _may_be_own(instance: Mapping[str, Any]) -> bool:
    return bool(instance.get("Metadata", {}).get("SopClassUid") in OWN_CLASSES and "ParentSeries" in instance)


def _holds_own(series: Mapping[str, Any], study_instance_uid: str) -> bool:
    return bool(series["MainDicomTags"].get("SeriesInstanceUID") in own_series_uids(study_instance_uid))


def _stored_at(instance: Mapping[str, Any]) -> int:
    """Return when Orthanc stored this content, in ns since 1970, or 0 if it is unknown.

    Orthanc stores whole seconds. Digits of its UUID for the file fill the nanoseconds: so the time changes even if new
    content replaces the old content within the same second.
    """
    try:
        stored = datetime.strptime(instance["Metadata"]["ReceptionDate"], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
        stored_at = int(stored.timestamp()) * 10**9 + int(instance["FileUuid"][:7], 16)
    except (KeyError, TypeError, ValueError):
        return 0
    return stored_at if 0 <= stored_at <= _MOST else 0
