"""An Orthanc that can be stopped and started again, and a night that polls it in one of two ways."""

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
    """The store, and what has been registered of it."""

    folder: Path
    worker_driver: WorkerDriver
    kind: str
    login: dict[str, str] = field(default_factory=lambda: dict(LOGIN))
    ports: tuple[int, int] = field(default_factory=lambda: (free_port(), free_port()))
    registered: int = 0

    def running(self) -> AbstractContextManager[Orthanc]:
        """The store, for as long as it is needed; the same one each time."""
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
        """As the settings name it."""
        url = f"http://127.0.0.1:{self.ports[0]}"
        values = {"name": "pacs", "login": self.login, "timeout_seconds": 5}
        if self.kind == "orthanc":
            return OrthancSource.model_validate({"url": url, **values})
        return DicomwebSource.model_validate({"url": f"{url}/dicom-web", **values})

    def poller(self, on_registered: Callable[[int], object] = lambda _: None) -> StorePoller:
        """Another start of `nightread poll`."""

        def hear(count: int) -> None:
            self.registered += count
            on_registered(count)

        ledger_driver = self.worker_driver.ledger_driver
        return StorePoller(self.store, load_settings(), ledger_driver.database, hear, clock=ledger_driver.clock)

    def poll_once(self) -> int:
        """One look by a new start; the number of new or changed arrivals."""
        return self.poller().poll_once(threading.Event())

    def analyse(self, **knobs: Any) -> Counter[str]:
        """All that may go now, and later retries."""
        return Counter(self.worker_driver.analyse(self.worker_driver.context(sources=(self.store,), **knobs)))

    def work(self) -> Any:
        """The row of work of the one image."""
        (row,) = self.worker_driver.ledger_driver.work()
        return row
