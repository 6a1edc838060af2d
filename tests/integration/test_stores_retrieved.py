"""Each way in which a retrieval from a store fails leads to the right outcome of the image."""

import io
import json
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pydicom
import pytest
from ledger_driver import LedgerDriver, SettableClock
from polled_store import PolledOrthanc
from sqlalchemy import update
from store_contents import fill, scans
from web_server import Reply, Request, running_web_server
from worker_driver import WorkerDriver

from db import queries
from db.ledger import Arrival, ensure_source, register
from db.tables import work
from nightread.instance import orthanc_uri

pytestmark = [pytest.mark.servers, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]


@pytest.fixture
def clock() -> SettableClock:
    """A clock that starts now, since the times of the store must not be in the future."""
    return SettableClock(datetime.now(UTC))


@pytest.fixture
def worker_driver(ledger_driver: LedgerDriver, tmp_path: Path, redis_url: str, bundle_id: int) -> WorkerDriver:
    """A worker under manual control."""
    return WorkerDriver(ledger_driver=ledger_driver, folder=tmp_path, redis_url=redis_url, bundle_id=bundle_id)


@pytest.fixture(params=["orthanc", "dicomweb"])
def polled(request: pytest.FixtureRequest, worker_driver: WorkerDriver, tmp_path: Path) -> PolledOrthanc:
    """The same store, with retrieval by its own REST API and by DICOMweb."""
    return PolledOrthanc(folder=tmp_path, worker_driver=worker_driver, kind=request.param)


def states(worker_driver: WorkerDriver) -> Counter[tuple[str, str | None]]:
    """Return the number of images by state and reason."""
    return Counter((row.state, row.reason) for row in worker_driver.ledger_driver.work())


def test_images_of_a_store_that_is_down_wait_for_it(polled: PolledOrthanc) -> None:
    """They wait without a limit, and no attempt is counted."""
    with polled.running() as orthanc:
        fill(orthanc, 6)
        polled.poll_once()
        orthanc.process.kill()
    for _ in range(4):
        assert polled.analyse() == {"received": 6}
    assert {(row.reason, row.attempts) for row in polled.worker_driver.ledger_driver.work()} == {
        ("store_unavailable", 0)
    }
    assert polled.analyse(hold_missing_sources=False) == {"received": 6}
    with polled.running() as orthanc:
        assert polled.analyse() == {"done": 6}
        orthanc.process.kill()


def test_a_wrong_password_fails_the_image_with_a_clear_message(polled: PolledOrthanc) -> None:
    """It fails after its attempts, like a file without read permission."""
    with polled.running() as orthanc:
        fill(orthanc, 1)
        polled.poll_once()
        polled.login["password"] = "wrong"
        assert polled.analyse() == {"received": 1}
        assert polled.analyse() == {"failed": 1}
        orthanc.process.kill()
    assert (polled.work_row().reason, polled.work_row().detail) == (
        "unreadable",
        "The store refused access (status 401): correct `login`, or the permissions on the server.",
    )


def test_an_instance_that_was_deleted_meanwhile_is_missing(polled: PolledOrthanc) -> None:
    """It fails like a file that was removed from its folder; other images are analysed."""
    with polled.running() as orthanc:
        first, *_ = fill(orthanc, 3)
        polled.poll_once()
        orthanc.delete(f"/instances/{first}")
        assert polled.analyse() == {"received": 1, "done": 2}
        assert polled.analyse() == {"failed": 1}
        orthanc.process.kill()
    assert states(polled.worker_driver) == {("failed", "missing_file"): 1, ("done", None): 2}


def test_an_instance_beyond_the_limit_is_rejected(polled: PolledOrthanc) -> None:
    """This holds whether or not the store reported its size before."""
    with polled.running() as orthanc:
        fill(orthanc, 1)
        polled.poll_once()
        assert polled.analyse(max_file_bytes=5000) == {"rejected": 1}
        orthanc.process.kill()
    assert polled.work_row().reason == "too_large"


def test_the_same_bytes_by_two_ways_are_one_content(polled: PolledOrthanc) -> None:
    """An image in a drop folder and in a store is analysed once; the later one is a duplicate."""
    (scan,) = scans(1)
    polled.worker_driver.put(dropped=scan)
    with polled.running() as orthanc:
        orthanc.upload(scan)
        polled.poll_once()
        assert polled.analyse() == {"done": 1, "duplicate": 1}
        orthanc.process.kill()


def test_a_trial_read_gets_the_retrieved_bytes(polled: PolledOrthanc) -> None:
    """The trial process has no login for the store, so it is sent the bytes."""
    with polled.running() as orthanc:
        fill(orthanc, 1)
        polled.poll_once()
        polled.worker_driver.ledger_driver.database.write(
            lambda connection: connection.execute(update(work).values(alone=True))
        )
        context = polled.worker_driver.context(sources=(polled.store,))
        assert polled.worker_driver.analyse(context) == {"done": 1}
        assert context.trial_reader._process is not None
        context.trial_reader.close()
        orthanc.process.kill()


def test_people_see_the_whole_url(polled: PolledOrthanc) -> None:
    """`query` shows the URL of the original image."""
    with polled.running() as orthanc:
        fill(orthanc, 1)
        polled.poll_once()
        (image,) = queries.images(polled.worker_driver.ledger_driver.database, queries.ImageFilter())
        assert image["uri"].startswith(polled.store.url + "/")
        assert orthanc.session.get(image["uri"], timeout=10).ok
        orthanc.process.kill()


def test_a_retrieval_that_is_too_slow_is_tried_again(worker_driver: WorkerDriver) -> None:
    """The store responds to other requests, so it is not down: the attempt counts, and the next one succeeds."""
    (scan,) = scans(1)
    speaks = threading.Event()

    def slowly() -> Iterator[bytes]:
        yield scan[:100]
        if speaks.wait(1):
            yield scan[100:]

    def answer(asked: Request) -> Reply:
        return Reply(body=[json.dumps({}).encode()] if asked.path == "/system" else slowly())

    with running_web_server(answer) as server:
        register_one(worker_driver, server.url)
        slow = {"kind": "orthanc", "name": "pacs", "url": server.url, "timeout_seconds": 0.2}
        assert worker_driver.analyse(worker_driver.context(sources=[slow])) == {"received": 1}
        (row,) = worker_driver.ledger_driver.work()
        assert (row.reason, row.attempts) == ("io_error", 1)
        # The limit of time or that of pace is reached first.
        assert row.detail in (
            "The store does not answer within 0.2 s.",
            "The store sent less than 65536 bytes per second.",
        )
        speaks.set()
        assert worker_driver.analyse(worker_driver.context(sources=[slow])) == {"done": 1}


def test_half_an_image_is_not_analysed(worker_driver: WorkerDriver) -> None:
    """A transfer that breaks off is an I/O error of the store, never a truncated image."""
    (scan,) = scans(1)
    whole = {"Content-Length": str(len(scan))}

    def answer(asked: Request) -> Reply:
        return Reply(body=[b"{}"]) if asked.path == "/system" else Reply(headers=whole, body=[scan[:-100]])

    with running_web_server(answer) as server:
        register_one(worker_driver, server.url)
        worker_driver.analyse(worker_driver.context())
        assert states(worker_driver) == {("received", "io_error"): 1}


def test_an_image_that_cannot_be_retrieved_fails_in_the_end(worker_driver: WorkerDriver) -> None:
    """Its file in the store is damaged, and the store itself is available."""
    with running_web_server(
        lambda asked: Reply(body=[b"{}"]) if asked.path == "/system" else Reply(status=500)
    ) as server:
        register_one(worker_driver, server.url)
        assert worker_driver.analyse(worker_driver.context()) == {"received": 1}
        assert worker_driver.analyse(worker_driver.context()) == {"failed": 1}
        assert states(worker_driver) == {("failed", "io_error"): 1}


def test_a_login_is_only_sent_to_its_own_store(worker_driver: WorkerDriver) -> None:
    """Requests to a source with another name have no login."""
    other = {"kind": "orthanc", "name": "other", "url": "http://127.0.0.1:1", "login": {"bearer": "secret"}}
    (scan,) = scans(1)
    with running_web_server(lambda _: Reply(body=[scan])) as server:
        register_one(worker_driver, server.url)
        assert worker_driver.analyse(worker_driver.context(sources=[other])) == {"done": 1}
    assert (
        pydicom.dcmread(io.BytesIO(scan)).SOPInstanceUID == worker_driver.ledger_driver.instances()[0].sop_instance_uid
    )
    assert "Authorization" not in server.asked[0].headers


def register_one(worker_driver: WorkerDriver, url: str) -> None:
    """Register one arrival of the store `pacs` at this address."""
    ledger_driver = worker_driver.ledger_driver
    source = ensure_source(ledger_driver.database, name="pacs", kind="orthanc", root=url, now=ledger_driver.clock())
    arrival = Arrival(uri=orthanc_uri("1"), size=0, mtime_ns=0)
    register(ledger_driver.database, source_id=source, arrivals=[arrival], priority=5, now=ledger_driver.clock())
