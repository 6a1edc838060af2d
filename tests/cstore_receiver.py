"""Run a C-STORE receiver in this process, for DCMTK's programs to call."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
from compose_processes import wait_until
from dicom_files import phantom
from dicom_peers import free_port

from db import queries
from db.engine import Database
from nightread.settings import Settings, load_settings
from nightread.sources import ReceiverSource
from producer.cstore.receiver import receive
from producer.spool.spool import spool_root

NAME = "pacs"
_START_SECONDS = 10


@dataclass(frozen=True, kw_only=True)
class RunningReceiver:
    """A receiver that listens, with its settings and database."""

    port: int
    settings: Settings
    database: Database
    notified: threading.Event
    """Set after an image was registered."""

    @property
    def spool(self) -> Path:
        """The folder of its spool."""
        return spool_root(self.settings, NAME)

    @property
    def files(self) -> list[Path]:
        """All files in the spool, complete or not."""
        return sorted(path for path in self.spool.glob("*/*/*") if path.is_file())

    @property
    def associations(self) -> list[queries.Association]:
        """The receipts in the database."""
        return queries.associations(self.database)

    @property
    def arrivals(self) -> list[str]:
        """Paths of all arrivals below the spool."""
        (source,) = queries.sources(self.database)
        return sorted(uri for _, uri in queries.uris_of(self.database, source.id))


def write_copies(folder: Path, *, images: int, folders: int = 1) -> None:
    """Write small scans that differ in their SOP Instance UID, spread over folders named 0, 1, ..."""
    scan = phantom(1)
    uid = str(pydicom.dcmread(BytesIO(scan)).SOPInstanceUID).encode()
    for index in range(images):
        path = folder / str(index % folders) / f"{index}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(scan.replace(uid, uid[:-5] + b"%05d" % (10000 + index)))


@contextmanager
def running_receiver(
    folder: Path, database: Database, *, settings: dict[str, Any] | None = None, **source: Any
) -> Iterator[RunningReceiver]:
    """Run a receiver with its state in `folder`; `settings` are nightread's, other keywords are the source's."""
    source_settings = ReceiverSource(name=NAME, **{"port": free_port(), **source})
    stop, listening = threading.Event(), threading.Event()
    failures: list[Exception] = []
    known = load_settings(state_dir=folder, **(settings or {}))
    notified = threading.Event()

    def run() -> None:
        try:
            receive(
                known, database, [source_settings], stop, lambda _arrivals: notified.set(), on_listening=listening.set
            )
        except Exception as error:  # noqa: BLE001 - raised again in the test
            failures.append(error)
            listening.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert listening.wait(_START_SECONDS), "the receiver does not listen"
        if not failures:
            yield RunningReceiver(port=source_settings.port, settings=known, database=database, notified=notified)
    finally:
        stop.set()
        thread.join(_START_SECONDS)
        assert not thread.is_alive(), "the receiver does not stop"
        if failures:
            raise failures[0]


def refused_callers(receiver: RunningReceiver) -> list[tuple[str, str, dict[str, int]]]:
    """Return caller, address and counts of the receipts, after one was written."""
    wait_until(lambda: bool(receiver.associations), seconds=20, what="the receipt is written")
    return [(one.calling_ae, one.address, dict(one.statuses)) for one in receiver.associations]
