"""An Orthanc server by its own REST API: its change log is an exact cursor."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from db.ledger import Arrival, Cursor
from nightread.instance import orthanc_uri
from nightread.web import HttpClient, MissingError, UnexpectedError
from producer.stores.change_feed import ChangePage, Count

log = logging.getLogger(__name__)

KIND = "orthanc"
PAGE_CHANGES = 500


class OrthancFeed:
    """Reads `/changes` page by page (Orthanc Book, "REST API", "Tracking changes"); from Orthanc 1.9.4.

    The cursor is the number and the mark of the last change that was read. Where Orthanc now has another change under
    that number, or only smaller ones, its database is another, and is read from its beginning: the ledger knows what
    of it it has.
    """

    def __init__(self, site: HttpClient) -> None:
        self._site = site

    def since(self, cursor: Cursor | None) -> Iterator[ChangePage]:
        """One piece for each page. Raises WebError."""
        try:
            yield from self._pieces(_Position.of(cursor))
        except (KeyError, TypeError, ValueError):
            raise UnexpectedError("does not answer as an Orthanc server: is that its address?") from None

    def _pieces(self, position: "_Position") -> Iterator[ChangePage]:
        while True:
            page = self._page(position)
            if page.is_of_another_database(position):
                log.warning("the store's database is another than before: it is read from its beginning")
                position = _Position()
                continue
            changes, position = page.after(position), page.end(position)
            yield ChangePage(
                arrivals=self._arrivals(changes), counts=self._counts(changes), cursor=position.as_cursor()
            )
            if page.done or not changes:
                return

    def _page(self, position: "_Position") -> "_Page":
        """From the last change that is known on, to see whether it is still the same."""
        query = {"since": str(max(0, position.number - 1)), "limit": str(PAGE_CHANGES)}
        return _Page.of(self._site.json("changes", query))

    def _arrivals(self, changes: Sequence["_Change"]) -> list[Arrival]:
        """What is new and still there; size and time from one request for all of them.

        Instances that were deleted meanwhile are left out: Orthanc forgets their changes, too.
        """
        ids = list(dict.fromkeys(change.resource for change in changes if change.kind == "NewInstance"))
        if not ids:
            return []
        found = self._bulk(ids)
        if len(found) < len(ids):
            log.info("instances were deleted before they were looked at", extra={"instances": len(ids) - len(found)})
        return [
            Arrival(uri=orthanc_uri(known["ID"]), size=int(known["FileSize"]), mtime_ns=_stored_at(known))
            for known in found
        ]

    def _counts(self, changes: Sequence["_Change"]) -> list[Count]:
        """Of studies that got nothing for a while (StableAge), as far as they are still there."""
        ids = list(dict.fromkeys(change.resource for change in changes if change.kind == "StableStudy"))
        if not ids:
            return []
        studies = {known["ID"]: known["MainDicomTags"].get("StudyInstanceUID") for known in self._bulk(ids)}
        counts = {orthanc_id: self._instances_of(orthanc_id) for orthanc_id, uid in studies.items() if uid}
        return [Count(study_instance_uid=studies[key], instances=count) for key, count in counts.items() if count]

    def _instances_of(self, study: str) -> int:
        try:
            return int(self._site.json(f"studies/{study}/statistics")["CountInstances"])
        except MissingError:
            return 0

    def _bulk(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        """Those of the resources that are there, in this order."""
        try:
            answer = self._site.json("tools/bulk-content", post={"Resources": ids, "Metadata": True})
        except MissingError:
            raise UnexpectedError("is no Orthanc of 1.9.4 or later: name it as a DICOMweb store") from None
        known = {resource["ID"]: resource for resource in answer}
        return [known[orthanc_id] for orthanc_id in ids if orthanc_id in known]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Change:
    number: int
    kind: str
    resource: str
    mark: str
    """What tells it from a change of the same number in another database."""

    @classmethod
    def of(cls, change: Mapping[str, Any]) -> "_Change":
        kind, resource = str(change["ChangeType"]), str(change["ID"])
        return cls(
            number=int(change["Seq"]), kind=kind, resource=resource, mark=f"{kind} {resource} {change.get('Date')}"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Position:
    """Behind which change we are; 0: before the first."""

    number: int = 0
    mark: str = ""

    @classmethod
    def of(cls, cursor: Cursor | None) -> "_Position":
        return cls(number=int(cursor["last"]), mark=str(cursor["mark"])) if cursor else cls()

    def as_cursor(self) -> dict[str, int | str]:
        return {"last": self.number, "mark": self.mark}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Page:
    """An answer of `/changes`."""

    changes: Sequence[_Change]
    last: int
    """Of the page; of the whole log where the page is empty."""
    done: bool

    @classmethod
    def of(cls, answer: Any) -> "_Page":
        changes = [_Change.of(change) for change in answer["Changes"]]
        return cls(changes=changes, last=int(answer["Last"]), done=bool(answer["Done"]))

    def is_of_another_database(self, position: _Position) -> bool:
        """Deleted resources take their changes along, so that ours may be missing: that alone proves nothing."""
        ours = [change.mark for change in self.changes if change.number == position.number]
        return position.number > 0 and (self.last < position.number or any(mark != position.mark for mark in ours))

    def after(self, position: _Position) -> list[_Change]:
        """What we have not seen."""
        return [change for change in self.changes if change.number > position.number]

    def end(self, position: _Position) -> _Position:
        """Where this page leads to."""
        if not self.changes or self.changes[-1].number <= position.number:
            return position
        return _Position(number=self.changes[-1].number, mark=self.changes[-1].mark)


def _stored_at(instance: Mapping[str, Any]) -> int:
    """When Orthanc stored this content, in ns; 0 where it does not say.

    It tells seconds. The name that it gave the file fills the digits below, so that content which replaces other at
    the same place in the same second is told from it.
    """
    try:
        stored = datetime.strptime(instance["Metadata"]["ReceptionDate"], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
        return int(stored.timestamp()) * 10**9 + int(instance["FileUuid"][:7], 16)
    except (KeyError, TypeError, ValueError):
        return 0
