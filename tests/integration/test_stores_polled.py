"""Each image of a store is registered once, also after restarts of poller or store."""

import io
import logging
import shutil
import threading
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pydicom
import pytest
from dicomweb_client import DICOMwebClient
from ledger_driver import LedgerDriver, SettableClock
from polled_store import PolledOrthanc
from pydicom.uid import ComprehensiveSRStorage
from sqlalchemy import select
from store_contents import ROOT, fill, scans
from web_server import Reply, running_web_server
from worker_driver import WorkerDriver

from db import queries
from db.store_tables import expected
from nightread.instance import dicomweb_uri, retrieve
from nightread.settings import load_settings
from nightread.sources import OrthancSource
from nightread.stores import open_store
from nightread.uids import own_series_uid
from producer.stores.poll import poll

pytestmark = pytest.mark.servers

SCANS, LATER = 500, 50
OF_ONE_DATABASE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture
def clock() -> SettableClock:
    """A clock that starts now, since the times of the store must not be in the future."""
    return SettableClock(datetime.now(UTC))


@pytest.fixture(params=["orthanc", "dicomweb"])
def polled(
    request: pytest.FixtureRequest, ledger_driver: LedgerDriver, tmp_path: Path, redis_url: str, bundle_id: int
) -> PolledOrthanc:
    """The same store, polled by its own REST API and by DICOMweb."""
    worker_driver = WorkerDriver(ledger_driver=ledger_driver, folder=tmp_path, redis_url=redis_url, bundle_id=bundle_id)
    return PolledOrthanc(folder=tmp_path, worker_driver=worker_driver, kind=request.param)


@pytest.mark.slow
@pytest.mark.parametrize(("polled", "database"), [("orthanc", "sqlite"), ("dicomweb", "postgresql")], indirect=True)
def test_five_hundred_images_are_analysed_once_despite_restarts(polled: PolledOrthanc) -> None:
    """The poller dies after its first commit, the store is killed, 50 more images come; each has one done row."""
    ledger_driver = polled.worker_driver.ledger_driver
    with polled.running() as orthanc:
        fill(orthanc, SCANS)
        dying = threading.Event()
        polled.poller(lambda _: dying.set()).poll_once(dying)
        assert 0 < len(ledger_driver.instances()) < SCANS
        orthanc.process.kill()
    poller = polled.poller()
    assert not poller._try_poll(threading.Event())
    assert poller.report.troubles == ("cannot be reached: check that it is running, and its address and port",)
    with polled.running() as orthanc:
        assert poller._try_poll(threading.Event())
        assert len(ledger_driver.instances()) == SCANS
        fill(orthanc, LATER, first=SCANS)
        done = polled.analyse()
        assert polled.poll_once() == LATER
        assert polled.poll_once() == 0
        done += polled.analyse()
        orthanc.process.kill()
    assert done == {"done": SCANS + LATER}
    assert len(ledger_driver.instances()) == polled.registered == SCANS + LATER
    assert {row.attempts for row in ledger_driver.work()} == {1}


@OF_ONE_DATABASE
def test_an_instance_deleted_before_the_poll_is_no_arrival(polled: PolledOrthanc) -> None:
    """Orthanc removes it from its change log and from all lists."""
    with polled.running() as orthanc:
        first, *_ = fill(orthanc, 3)
        orthanc.delete(f"/instances/{first}")
        assert polled.poll_once() == 2
        orthanc.process.kill()


@pytest.mark.parametrize("polled", ["orthanc"], indirect=True)
@pytest.mark.parametrize("scans_then", [1, 9])
@OF_ONE_DATABASE
def test_another_database_at_the_same_address_is_read_from_its_beginning(
    polled: PolledOrthanc, scans_then: int
) -> None:
    """The new database has fewer changes than were read, or more."""
    with polled.running() as orthanc:
        fill(orthanc, 3)
        assert polled.poll_once() == 3
        orthanc.process.kill()
    shutil.rmtree(polled.folder / "orthanc" / "storage")
    with polled.running() as orthanc:
        fill(orthanc, scans_then, first=100)
        assert polled.poll_once() == scans_then
        assert polled.poll_once() == 0
        orthanc.process.kill()


@pytest.mark.parametrize("polled", ["orthanc"], indirect=True)
@OF_ONE_DATABASE
def test_a_database_from_a_backup_has_the_cursor_of_its_time(polled: PolledOrthanc) -> None:
    """Images registered since the backup are found again, and no others."""
    path = Path(str(polled.worker_driver.ledger_driver.database.writer.url.database))
    with polled.running() as orthanc:
        fill(orthanc, 2)
        polled.poll_once()
        polled.worker_driver.ledger_driver.database.close()
        backup = path.read_bytes()
        fill(orthanc, 3, first=2)
        assert polled.poll_once() == 3
        polled.worker_driver.ledger_driver.database.close()
        for journal in path.parent.glob(f"{path.name}-*"):
            journal.unlink()
        with path.open("r+b") as file:
            file.write(backup)
            file.truncate()
        assert len(polled.worker_driver.ledger_driver.instances()) == 2
        assert polled.poll_once() == 3
        orthanc.process.kill()


@pytest.mark.parametrize("polled", ["orthanc"], indirect=True)
@OF_ONE_DATABASE
def test_an_instance_that_was_replaced_is_another_arrival(polled: PolledOrthanc) -> None:
    """It has the same UIDs and the same URL but other content, and the first one is done."""
    (scan,) = scans(1)
    with polled.running() as orthanc:
        orthanc.upload(scan)
        assert polled.poll_once() == 1
        assert polled.analyse() == {"done": 1}
        orthanc.upload(scan[:-2] + b"\x01\x01")
        assert polled.poll_once() == 1
        assert polled.analyse() == {"done": 1}
        orthanc.process.kill()


@OF_ONE_DATABASE
def test_the_store_reports_the_expected_number_of_images(polled: PolledOrthanc) -> None:
    """Orthanc reports it when a study is stable, DICOMweb stores in each list; the latest number counts."""
    uid = f"{ROOT}.1.0"
    with polled.running() as orthanc:
        fill(orthanc, 2)
        polled.poll_once()
        fill(orthanc, 2, first=2)
        _wait_until(lambda: polled.poll_once() == 0 and _expected(polled) == {uid: 4})
        assert polled.registered == 4
        orthanc.process.kill()


@OF_ONE_DATABASE
def test_our_own_reports_in_a_store_are_neither_registered_nor_expected(polled: PolledOrthanc) -> None:
    """The store is a source and a destination. A report of another program is an arrival like any object."""
    uid = f"{ROOT}.1.0"
    (scan,) = scans(1)
    with polled.running() as orthanc:
        fill(orthanc, 2)
        orthanc.upload(_as_report(scan, own_series_uid("series", uid), f"{ROOT}.4.1"))
        assert polled.poll_once() == 2
        orthanc.upload(_as_report(scan, f"{ROOT}.2.9", f"{ROOT}.4.2"))
        _wait_until(lambda: polled.poll_once() == 0 and _expected(polled) == {uid: 3})
        assert polled.registered == 3
        orthanc.process.kill()


@pytest.mark.parametrize("polled", ["dicomweb"], indirect=True)
@OF_ONE_DATABASE
def test_another_client_of_dicomweb_finds_the_same(polled: PolledOrthanc) -> None:
    """dicomweb-client lists the same instances and retrieves the same content."""
    with polled.running() as orthanc:
        fill(orthanc, 60)
        polled.poll_once()
        other = DICOMwebClient(f"{orthanc.url}/dicom-web", session=orthanc.session)
        listed = [QidoRow(row) for row in other.search_for_instances(limit=100)]
        assert {row.uri for row in polled.worker_driver.ledger_driver.instances()} == {row.uri for row in listed}
        one = other.retrieve_instance(*listed[0].uids)
        retrieved = retrieve(open_store(polled.store), listed[0].uri, max_bytes=2**20)
        assert pydicom.dcmread(io.BytesIO(retrieved)) == one
        orthanc.process.kill()


@pytest.mark.parametrize("polled", ["dicomweb"], indirect=True)
@OF_ONE_DATABASE
def test_studies_before_the_window_are_ignored(polled: PolledOrthanc) -> None:
    """The StudyDate decides whether a study is in the window."""
    with polled.running() as orthanc:
        fill(orthanc, 1, dated=date(2020, 1, 1))
        fill(orthanc, 1, first=50)
        assert polled.poll_once() == 1
        orthanc.process.kill()


@pytest.mark.parametrize("polled", ["orthanc"], indirect=True)
@OF_ONE_DATABASE
def test_a_problem_is_logged_once_and_shown_until_it_is_over(
    polled: PolledOrthanc, caplog: pytest.LogCaptureFixture
) -> None:
    """After a wrong password, `status` reads the problem from the database; the password is never logged."""
    caplog.set_level(logging.INFO)
    polled.login["password"] = "wrong-word"
    with polled.running() as orthanc:
        poller = polled.poller()
        poller._source_id = poller._open_source()
        assert not poller._try_poll(threading.Event())
        assert not poller._try_poll(threading.Event())
        assert _reported(polled) == [poller.report.troubles[0]]
        assert "status 401" in poller.report.troubles[0]
        polled.login["password"] = "read"
        again = polled.poller()
        again._reported = poller.report
        assert again._try_poll(threading.Event())
        assert _reported(polled) == []
        orthanc.process.kill()
    messages = [record.getMessage() for record in caplog.records if record.name == "producer.stores.poll"]
    assert [message.partition(" (")[0] for message in messages] == [
        "the store refused access",
        "the store is available again",
    ]
    assert "wrong-word" not in caplog.text


@OF_ONE_DATABASE
def test_polling_stops_at_once_even_while_a_store_is_silent(ledger_driver: LedgerDriver) -> None:
    """A request without a response does not delay the end of the process."""
    stop, asked, hang = threading.Event(), threading.Event(), threading.Event()

    def silence() -> list[bytes]:
        asked.set()
        hang.wait(30)
        return []

    with running_web_server(lambda _: Reply(body=silence())) as server:
        store = OrthancSource.model_validate({"name": "pacs", "url": server.url})
        poller = threading.Thread(
            target=poll, args=(load_settings(), ledger_driver.database, [store], stop, lambda _: None)
        )
        poller.start()
        assert asked.wait(10)
        began = time.monotonic()
        stop.set()
        poller.join(10)
        assert time.monotonic() - began < 1.5
        hang.set()


class QidoRow:
    """A row of a QIDO-RS response."""

    def __init__(self, row: dict[str, dict[str, list[str]]]) -> None:
        self.uids = [row[tag]["Value"][0] for tag in ("0020000D", "0020000E", "00080018")]
        self.uri = dicomweb_uri(*self.uids)


def _as_report(scan: bytes, series: str, instance: str) -> bytes:
    report = pydicom.dcmread(io.BytesIO(scan))
    report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = ComprehensiveSRStorage
    report.SOPInstanceUID = report.file_meta.MediaStorageSOPInstanceUID = instance
    report.SeriesInstanceUID, report.Modality = series, "SR"
    del report.PixelData
    buffer = io.BytesIO()
    report.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _reported(polled: PolledOrthanc) -> list[str]:
    (source,) = [
        source for source in queries.sources(polled.worker_driver.ledger_driver.database) if source.name == "pacs"
    ]
    return list(source.report["troubles"]) if source.report else []


def _expected(polled: PolledOrthanc) -> dict[str, int]:
    with polled.worker_driver.ledger_driver.database.read() as connection:
        rows = connection.execute(
            select(expected.c.study_instance_uid, expected.c.images, expected.c.reported_by)
        ).all()
    assert {row.reported_by for row in rows} <= {"store"}
    return {row.study_instance_uid: row.images for row in rows}


def _wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)
