"""Fixtures that several files of integration tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from analysed_studies import AnalysedStudies
from cstore_receiver import RunningReceiver, running_receiver
from databases import NewSqlite
from dicom_files import phantom
from ledger_driver import LedgerDriver


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """A valid image."""
    path = tmp_path / "scan.dcm"
    path.write_bytes(phantom(1))
    return path


@pytest.fixture
def receiver(tmp_path: Path, new_sqlite: NewSqlite) -> Iterator[RunningReceiver]:
    """A receiver with a database of its own; it gives up a silent connection after a second."""
    with (
        new_sqlite(tmp_path / "nightread.sqlite3", durable=True) as database,
        running_receiver(tmp_path, database, idle_seconds=1) as running,
    ):
        yield running


@pytest.fixture
def studies(ledger_driver: LedgerDriver, tmp_path: Path, bundle_id: int) -> AnalysedStudies:
    """A database with one study to report."""
    studies = AnalysedStudies(ledger_driver=ledger_driver, folder=tmp_path, bundle_id=bundle_id)
    studies.add_study()
    return studies
