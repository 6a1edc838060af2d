"""Let images and key object notes arrive from several sources and senders, one after the other."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ledger_driver import LedgerDriver, build_arrivals, build_outcome

from db import ledger
from db.ledger import Annotations, Arrival, CallingEntity, Claimed, Members, Outcome, Withdrawal
from db.tables import State
from imaging.facts import Facts
from nightread.reasons import Reason
from nightread.sources import OverwritePolicy

STUDY = "1.2.1"
SOP, SERIES = "1.2.1.7", "1.2.1.3"


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
        self._register(source, *build_arrivals(1, sender=sender, **arrival))
        return self._record(*self._claim(), content, sop=sop, study=study)

    def images(self, *given: tuple[str, str], studies: Mapping[str, str] = {}) -> list[int]:
        """Analyse images of these sources and contents in one batch; `studies` has the studies of some sources."""
        for source, _ in given:
            self._register(source, *build_arrivals(1))
        (batch,) = self.ledger_driver.form()
        claimed = self.ledger_driver.claim(batch)
        outcomes = [
            self._done(each, content, study=studies.get(source, STUDY))
            for each, (source, content) in zip(claimed, given, strict=True)
        ]
        self._finish(batch, outcomes)
        return [each.instance_id for each in claimed]

    def note(self, source: str, *uids: str, sender: CallingEntity | None = None) -> int:
        """Record a key object note that rejects images of the study."""
        self._register(source, *build_arrivals(1, sender=sender))
        (batch,) = self.ledger_driver.form()
        (claimed,) = self.ledger_driver.claim(batch)
        named = uids or (SOP,)
        withdrawal = Withdrawal(study_instance_uid=STUDY, code="113001", sop_instance_uids=named)
        annotations = Annotations(withdrawal=withdrawal)
        rejected = {"state": State.REJECTED, "reason": Reason.KEY_OBJECT, "annotations": annotations}
        self._finish(batch, [build_outcome(claimed, **rejected)])
        return claimed.instance_id

    def archive(self, source: str, name: str, *contents: str, sop: str = SOP) -> list[int]:
        """Unpack an archive of images; return the ids of archive and members. A copy of an archive has no members."""
        self._register(source, *build_arrivals(1))
        (batch,) = self.ledger_driver.form()
        (claimed,) = self.ledger_driver.claim(batch)
        members = Members(
            source_id=self.add_source("archives", kind="archives"), arrivals=tuple(build_arrivals(len(contents)))
        )
        fields = {"state": State.EXPANDED, "sha256": name * 64, "annotations": Annotations(members=members)}
        self._finish(batch, [build_outcome(claimed, **fields)])
        found = [claimed.instance_id]
        for batch in self.ledger_driver.form(images=1):
            (member,) = self.ledger_driver.claim(batch)
            found.append(self._record(batch, member, contents[len(found) - 1], sop=sop))
        return found

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

    def _register(self, source: str, *arrivals: Arrival) -> None:
        source_id = self._ids.get(source) or self.add_source(source)
        driver = self.ledger_driver
        ledger.receive(
            driver.database, source_id=source_id, arrivals=arrivals, associations=[], priority=5, now=driver.clock()
        )

    def _claim(self) -> tuple[ledger.Batch, Claimed]:
        (batch,) = self.ledger_driver.form()
        (claimed,) = self.ledger_driver.claim(batch)
        return batch, claimed

    def _record(self, batch: ledger.Batch, claimed: Claimed, content: str, **uids: str) -> int:
        self._finish(batch, [self._done(claimed, content, **uids)])
        return claimed.instance_id

    def _done(self, claimed: Claimed, content: str, *, sop: str = SOP, study: str = STUDY) -> Outcome:
        facts = Facts(study_instance_uid=study, series_instance_uid=SERIES, sop_instance_uid=sop)
        return build_outcome(claimed, sha256=content * 64, facts=facts)

    def _finish(self, batch: ledger.Batch, outcomes: list[Outcome]) -> None:
        driver = self.ledger_driver
        ledger.record(
            driver.database, batch.id, outcomes, seconds={}, release="test", now=driver.clock(), policy=self.policy
        )
