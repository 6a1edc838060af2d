"""Let images and key object notes arrive from several sources and senders, one after the other."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ledger_driver import LedgerDriver, build_arrivals, build_outcome

from db import ledger, queries
from db.ledger import Annotations, CallingEntity, Members, Outcome, Withdrawal
from db.queries import ImageFilter
from db.tables import State
from imaging.facts import Facts
from nightread.reasons import Reason
from nightread.sources import OverwritePolicy

STUDY = "1.2.1"
SOP, SERIES = "1.2.1.7", "1.2.1.3"


def image_fields(content: str, *, sop: str = SOP, study: str = STUDY) -> dict[str, object]:
    """Return the fields of the outcome of an image with this content."""
    facts = Facts(study_instance_uid=study, series_instance_uid=SERIES, sop_instance_uid=sop)
    return {"content": content * 64, "facts": facts}


def note_fields(*uids: str) -> dict[str, object]:
    """Return the fields of the outcome of a key object note that rejects images of the study."""
    withdrawal = Withdrawal(study_instance_uid=STUDY, code="113001", sop_instance_uids=uids or (SOP,))
    annotations = Annotations(withdrawal=withdrawal)
    return {"state": State.REJECTED, "reason": Reason.KEY_OBJECT, "annotations": annotations}


@dataclass(kw_only=True)
class TrustedArrivals:
    """Records arrivals by the names of their sources; each has its own batch and returns its image id."""

    ledger_driver: LedgerDriver
    policy: OverwritePolicy = "same_source"
    _ids: dict[str, int] = field(default_factory=dict)

    def add_source(self, name: str, *, trust: str | None = None, kind: str = "folder") -> int:
        """Register a source, or change its trust group; return its id."""
        driver = self.ledger_driver
        self._ids[name] = ledger.ensure_source(
            driver.database, name=name, kind=kind, root=f"/{name}", trust=trust, now=driver.clock()
        )
        return self._ids[name]

    def image(
        self,
        source: str,
        content: str,
        *,
        sop: str = SOP,
        study: str = STUDY,
        sender: CallingEntity | None = None,
        **arrival: object,
    ) -> int:
        """Analyse an image with this content, or find that it is a duplicate. Keywords set fields of its arrival."""
        self.send(source, sender=sender, **arrival)
        return self.record_waiting(image_fields(content, sop=sop, study=study))[0]

    def images(self, *given: tuple[str, str], studies: Mapping[str, str] = {}) -> list[int]:
        """Analyse images of these sources and contents in one batch; `studies` has the studies of some sources."""
        fields = [image_fields(content, study=studies.get(source, STUDY)) for source, content in given]
        return self.together(*((source, each) for (source, _), each in zip(given, fields, strict=True)))

    def note(self, source: str, *uids: str, sender: CallingEntity | None = None) -> int:
        """Record a key object note that rejects images of the study."""
        self.send(source, sender=sender)
        return self.record_waiting(note_fields(*uids))[0]

    def archive(
        self, source: str, name: str, *contents: str, sop: str = SOP, sender: CallingEntity | None = None
    ) -> list[int]:
        """Unpack an archive of images; return the ids of archive and members. A copy of an archive has no members."""
        self.send(source, sender=sender)
        found = self.record_waiting(self.archive_fields(name * 64, len(contents)))
        for batch in self.ledger_driver.form(images=1):
            (member,) = self.ledger_driver.claim(batch)
            self._finish(batch, [build_outcome(member, **image_fields(contents[len(found) - 1], sop=sop))])
            found.append(member.instance_id)
        return found

    def together(self, *given: tuple[str, dict[str, object]]) -> list[int]:
        """Record arrivals of these sources in one batch, each with fields of its outcome; return their ids."""
        for source, _ in given:
            self.send(source)
        return self.record_waiting(*(fields for _, fields in given))

    def send(self, source: str, *, sender: CallingEntity | None = None, **arrival: object) -> None:
        """Register one arrival of a source; keywords set its fields."""
        source_id = self._ids.get(source) or self.add_source(source)
        driver, arrivals = self.ledger_driver, build_arrivals(1, sender=sender, **arrival)
        ledger.receive(
            driver.database, source_id=source_id, arrivals=arrivals, associations=[], priority=5, now=driver.clock()
        )

    def record_waiting(self, *fields: dict[str, object]) -> list[int]:
        """Record all waiting arrivals in one batch, oldest first, each with fields of its outcome; return their ids."""
        (batch,) = self.ledger_driver.form()
        claimed = self.ledger_driver.claim(batch)
        self._finish(batch, [build_outcome(each, **values) for each, values in zip(claimed, fields, strict=True)])
        return [each.instance_id for each in claimed]

    def archive_fields(self, content: str, members: int) -> dict[str, object]:
        """Return the fields of the outcome of an archive with new members."""
        source_id = self.add_source("archives", kind="archives")
        annotations = Annotations(members=Members(source_id=source_id, arrivals=tuple(build_arrivals(members))))
        return {"state": State.EXPANDED, "content": content, "annotations": annotations}

    def superseded_by(self, *image_ids: int) -> list[int | None]:
        """Return the newer version that each of these images names."""
        return [self._row(image_id).superseded_by for image_id in image_ids]

    def withdrawn_by(self, *image_ids: int) -> list[int | None]:
        """Return the note that withdrew each of these images."""
        return [self._row(image_id).withdrawn_by for image_id in image_ids]

    def conflict_with(self, *image_ids: int) -> list[int | None]:
        """Return the arrival with which each of these images is in conflict."""
        return [self._row(image_id).conflict_with for image_id in image_ids]

    def _row(self, image_id: int) -> Any:
        return next(row for row in self.ledger_driver.instances() if row.id == image_id)

    def _finish(self, batch: ledger.Batch, outcomes: list[Outcome]) -> None:
        driver = self.ledger_driver
        ledger.record(
            driver.database, batch.id, outcomes, seconds={}, release="test", now=driver.clock(), policy=self.policy
        )


def in_conflict(arrivals: TrustedArrivals) -> list[tuple[int, int, str]]:
    """Return the images in conflict, the other arrivals, and the kinds; they are as many as `status` shows."""
    database = arrivals.ledger_driver.database
    found = [(each.image_id, each.other_id, each.kind) for each in queries.conflicting_images(database)]
    assert queries.conflicts(database) == len(found)
    listed = [row["image_id"] for row in queries.images(database, ImageFilter(conflict=True))]
    others = [row["image_id"] for row in queries.images(database, ImageFilter(conflict=False))]
    assert listed == [image_id for image_id, _, _ in found]
    assert not set(listed) & set(others)
    assert len(listed) + len(others) == len(arrivals.ledger_driver.instances())
    return found
