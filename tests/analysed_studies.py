"""Write DICOM studies to a folder and record results for them in the database, without a network."""

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydicom
from dicom_files import phantom
from ledger_driver import LedgerDriver
from pydicom.dataset import FileDataset

from db import ledger
from db.ledger import Arrival, Outcome
from db.tables import State
from delivery.delivery_loop import DeliveryLoop, open_delivery_loop
from delivery.report_delivery import DeliveryResult
from delivery.study_selection import Scope
from imaging.patient import PatientHasher
from imaging.read import read
from nightread.content_digest import content_of
from nightread.settings import Settings, load_settings
from nightread.sources import Destination

ROOT = "1.2.826.0.1.3680043.8.498.66"
STUDY = f"{ROOT}.1"
DIGEST = "d" * 64
Change = Callable[[FileDataset], object]
_DURATIONS = {"deliver_after_seconds": 0, "retry_base_seconds": 1, "retry_cap_seconds": 8}


@dataclass(kw_only=True)
class AnalysedStudies:
    """A source folder with studies, and a database with their results."""

    ledger_driver: LedgerDriver
    folder: Path
    bundle_id: int
    settings_given: dict[str, Any] = field(default_factory=dict)
    _count: int = 0

    def __post_init__(self) -> None:
        """Register the folder as a source."""
        self.inbox = self.folder / "ward"
        self.inbox.mkdir()
        self.ledger_driver.source_id = ledger.ensure_source(
            self.ledger_driver.database,
            name="ward",
            kind="folder",
            root=str(self.inbox),
            now=self.ledger_driver.clock(),
        )

    @property
    def settings(self) -> Settings:
        """Return the settings: reports are sent without delay unless a test sets `deliver_after_seconds`."""
        return load_settings(state_dir=self.folder, **{**_DURATIONS, **self.settings_given})

    def write_scan(self, *, study: str = STUDY, change: Change = lambda _: None) -> Path:
        """Write one more scan of a study."""
        self._count += 1
        dataset = pydicom.dcmread(io.BytesIO(_PHANTOM))
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, f"{study}.2"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{study}.3.{self._count}"
        change(dataset)
        path = self.inbox / f"{self._count}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        return path

    def register(self, *paths: Path) -> None:
        """Register files."""
        arrivals = [
            Arrival(uri=path.name, size=path.stat().st_size, mtime_ns=path.stat().st_mtime_ns) for path in paths
        ]
        self.ledger_driver.register(arrivals)

    def analyse(self, **fields: Any) -> None:
        """Record one result for all waiting images: a nodule with 0.875, unless `fields` say otherwise."""
        for batch in self.ledger_driver.form(images=4096):
            claimed = self.ledger_driver.claim(batch)
            self.ledger_driver.record(batch, [self._outcome(image, fields) for image in claimed])

    def add_study(
        self, images: int = 1, *, study: str = STUDY, change: Change = lambda _: None, **fields: Any
    ) -> list[Path]:
        """Write the images of a study, register them and record their results."""
        paths = [self.write_scan(study=study, change=change) for _ in range(images)]
        self.register(*paths)
        self.analyse(**fields)
        return paths

    @contextmanager
    def delivery_loop(self, *destinations: Destination, scope: Scope | None = None) -> Iterator[DeliveryLoop]:
        """Open the delivery loop of `send-results --follow` with the clock of the test."""
        ledger_driver = self.ledger_driver
        with open_delivery_loop(
            self.settings, ledger_driver.database, destinations, scope or Scope(), clock=ledger_driver.clock
        ) as delivery_loop:
            yield delivery_loop

    def send(self, *destinations: Destination, again: bool = False, scope: Scope | None = None) -> list[DeliveryResult]:
        """Send the reports of all ready studies once."""
        with self.delivery_loop(*destinations, scope=scope) as delivery_loop:
            return [
                results for results in delivery_loop.deliver(delivery_loop.ready(), again=again) if results is not None
            ]

    def _outcome(self, image: ledger.Claimed, fields: dict[str, Any]) -> Outcome:
        data = (self.inbox / image.uri).read_bytes()
        facts = read(data, patient=PatientHasher(b"ward")).facts
        values = {"label": "nodule", "score": 0.875, "scores": [0.125, 0.875], "bundle_id": self.bundle_id} | fields
        return Outcome(
            work_id=image.work_id,
            instance_id=image.instance_id,
            content=content_of(data),
            facts=facts,
            **{"state": State.DONE, **values},
        )


def states(results: Sequence[DeliveryResult]) -> list[tuple[str, str | None]]:
    """Return state and reason of each result."""
    return [(one.state, one.reason) for one in results]


_PHANTOM = phantom(1)
