"""An image goes from POST through the spool, the ledger and a worker to its answer, with a real Redis."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from compose_processes import wait_until
from dicom_files import phantom
from fastapi.testclient import TestClient
from httpx2 import Response
from ledger_driver import LedgerDriver
from worker_driver import WorkerDriver

from api.app import make_app
from api.context import ApiContext
from nightread.nights import nights_of
from worker.context import WorkerContext

FOREVER_SECONDS = 3600.0


@dataclass(frozen=True, kw_only=True)
class ApiWithWorker:
    """An API whose clients only messages of the worker wake, and a worker to drive by hand."""

    client: TestClient
    worker_driver: WorkerDriver
    context: WorkerContext

    def answer_to(self, body: bytes, kind: str = "application/dicom") -> Response:
        """Send a file in a thread, and analyse it in this one: decoders have time limits, which need signals."""
        with ThreadPoolExecutor(1) as client:
            answer = client.submit(self.client.post, "/v1/images?wait=30", content=body, headers={"Content-Type": kind})
            states = self.worker_driver.ledger_driver.states
            wait_until(lambda: "received" in states(), seconds=20, what="the image is registered")
            self.worker_driver.analyse(self.context)
            return answer.result(60)


@pytest.fixture
def worker_driver(ledger_driver: LedgerDriver, tmp_path: Path, redis_url: str, bundle_id: int) -> WorkerDriver:
    """A worker with an empty inbox."""
    return WorkerDriver(ledger_driver=ledger_driver, folder=tmp_path, redis_url=redis_url, bundle_id=bundle_id)


@pytest.fixture
def api(worker_driver: WorkerDriver, redis_url: str) -> Iterator[ApiWithWorker]:
    """The API and a worker on one database and one Redis."""
    settings = worker_driver.settings()
    context = ApiContext(
        settings=settings,
        database=worker_driver.ledger_driver.database,
        nights=nights_of(settings),
        redis_url=redis_url,
        clock=worker_driver.ledger_driver.clock,
    )
    settings.state_dir.mkdir(exist_ok=True)
    with TestClient(make_app(context), base_url="http://127.0.0.1") as client:
        client.app.state.services.waiters._poll_seconds = FOREVER_SECONDS  # type: ignore[attr-defined]
        yield ApiWithWorker(client=client, worker_driver=worker_driver, context=worker_driver.context())


def test_a_recorded_batch_wakes_the_client(api: ApiWithWorker) -> None:
    """The worker publishes the id of the batch; nothing polls here."""
    response = api.answer_to(phantom(1))

    assert (response.status_code, response.json()["state"], response.json()["label"]) == (200, "done", "clear")


def test_the_same_bytes_again_have_the_result_of_the_first(api: ApiWithWorker) -> None:
    """As the worker records it, and before."""
    api.answer_to(phantom(1))
    response = api.answer_to(phantom(1))

    assert response.status_code == 200
    assert (response.json()["duplicate_of"], response.json()["original"]["label"]) == (1, "clear")


def test_a_picture_is_analysed_although_folders_take_none(api: ApiWithWorker) -> None:
    """Whoever sends one to the API means it."""
    assert not api.context.settings.accept_raster
    picture = cv2.imencode(".png", np.full((64, 64), 128, np.uint8))[1].tobytes()

    response = api.answer_to(picture, "image/png")

    assert (response.status_code, response.json()["state"]) == (200, "done")


def test_bytes_that_are_no_image_are_rejected_with_their_reason(api: ApiWithWorker) -> None:
    """422; the rejection is a row like any other."""
    response = api.answer_to(b"no image")

    assert (response.status_code, response.json()["reason"]) == (422, "not_dicom")
    assert api.client.get("/v1/images/1").json()["state"] == "rejected"


def test_outcomes_are_events(api: ApiWithWorker) -> None:
    """Id, state and label, as soon as the batch is recorded."""
    events = api.client.app.state.services.events  # type: ignore[attr-defined]
    heard: list[str] = []
    events._clients.add(queue := _Listener(heard))
    api.answer_to(phantom(1))

    wait_until(lambda: any("outcome" in text for text in heard), seconds=20, what="the event comes")
    (outcome,) = (text for text in heard if "outcome" in text)  # another one says that the first may be missed
    assert '"image_id": 1' in outcome
    assert '"label": "clear"' in outcome
    assert queue in events._clients


class _Listener:
    """Stands for the queue of a client that listens: a test client reads no response without an end."""

    def __init__(self, heard: list[str]) -> None:
        self._heard = heard

    def full(self) -> bool:
        """Return that there is room."""
        return False

    def put_nowait(self, text: str) -> None:
        """Keep the event."""
        self._heard.append(text)
