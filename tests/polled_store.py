"""Run an Orthanc that can be stopped and started again, and poll it as Orthanc or as a DICOMweb store."""

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dicom_peers import Orthanc, free_port, private_orthanc
from worker_driver import WorkerDriver

from nightread.settings import load_settings
from nightread.sources import DicomwebSource, OrthancSource
from nightread.stores import Store
from producer.stores.poll import StorePoller

LOGIN = {"user": "night", "password": "read"}


@dataclass(kw_only=True)
class PolledOrthanc:
    """The store, its settings, and the number of arrivals registered from it."""

    folder: Path
    worker_driver: WorkerDriver
    kind: str
    login: dict[str, str] = field(default_factory=lambda: dict(LOGIN))
    ports: tuple[int, int] = field(default_factory=lambda: (free_port(), free_port()))
    registered: int = 0

    def running(self) -> AbstractContextManager[Orthanc]:
        """Start the store; each start uses the same ports and the same files."""
        http_port, dicom_port = self.ports
        return private_orthanc(
            self.folder / "orthanc",
            auth=(LOGIN["user"], LOGIN["password"]),
            http_port=http_port,
            dicom_port=dicom_port,
            StableAge=1,
            OverwriteInstances=True,
        )

    @property
    def store(self) -> Store:
        """The store as the settings describe it."""
        url = f"http://127.0.0.1:{self.ports[0]}"
        values = {"name": "pacs", "login": self.login, "timeout_seconds": 5}
        if self.kind == "orthanc":
            return OrthancSource.model_validate({"url": url, **values})
        return DicomwebSource.model_validate({"url": f"{url}/dicom-web", **values})

    def poller(self, on_registered: Callable[[int], object] = lambda _: None) -> StorePoller:
        """Return a new poller, as another start of `nightread poll` makes it."""

        def count(arrivals: int) -> None:
            self.registered += arrivals
            on_registered(arrivals)

        ledger_driver = self.worker_driver.ledger_driver
        return StorePoller(self.store, load_settings(), ledger_driver.database, count, clock=ledger_driver.clock)

    def poll_once(self) -> int:
        """Poll once with a new poller. Returns the number of new or changed arrivals."""
        return self.poller().poll_once(threading.Event())

    def analyse(self, **knobs: Any) -> Counter[str]:
        """Analyse all waiting images, and return the number of outcomes by state."""
        return Counter(self.worker_driver.analyse(self.worker_driver.context(sources=(self.store,), **knobs)))

    def work_row(self) -> Any:
        """Return the row of work of the only image."""
        (row,) = self.worker_driver.ledger_driver.work()
        return row
