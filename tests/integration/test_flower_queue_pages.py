"""Flower with a real Redis: what became of a batch, what waits, whether dispatch is paused; all behind the login."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from batch_events import RemoteWorker, remote_worker
from compose_processes import wait_until
from dispatcher_driver import open_dispatcher
from ledger_driver import LedgerDriver, build_arrivals
from redis import Redis
from running_flower import RunningFlower, running_flower

from db import ledger
from db.ledger import Cause

pytestmark = pytest.mark.timeout(120)
WAITS = {"put back": 1, "still_arriving": 1, "image_ids": [7]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state folder of Flower."""
    return tmp_path_factory.mktemp("flower")


@pytest.fixture(scope="module")
def flower(folder: Path, redis_server_url: str) -> Iterator[RunningFlower]:
    """Run Flower with a real Redis, or skip the test if there is no server."""
    with running_flower(folder, redis_server_url) as running:
        yield running


@pytest.fixture(scope="module")
def worker(flower: RunningFlower, redis_server_url: str) -> Iterator[RemoteWorker]:
    """A worker whose events Flower receives."""
    with remote_worker(redis_server_url) as worker:

        def is_heard() -> bool:
            batch_id = worker.analyse({"done": 1})
            return batch_id in flower.tasks()

        wait_until(is_heard, 30, "Flower hears the worker")
        yield worker


def shows(flower: RunningFlower, batch_id: str) -> dict[str, Any]:
    """Return the row of a batch as soon as Flower has its end."""
    wait_until(lambda: flower.tasks().get(batch_id, {}).get("result") is not None, 30, "Flower shows the batch")
    row: dict[str, Any] = flower.tasks()[batch_id]
    return row


def line(flower: RunningFlower) -> tuple[str, str]:
    """Return colour and text of the line on every page."""
    view = json.loads(flower.ask("/api/queue", login=flower.login)[2])
    return view["level"], view["line"]


def test_a_batch_without_any_result_is_not_green(flower: RunningFlower, worker: RemoteWorker) -> None:
    """State, name and result of its row tell, and the row is found by its state."""
    failed = worker.analyse({"failed": 1, "timeout": 1, "image_ids": [5]})
    row = shows(flower, failed)
    assert (row["state"], row["name"]) == ("FAILURE", "nightread.analyse.failed")
    assert row["result"] == "{'failed': 1, 'timeout': 1, 'image_ids': [5]}"
    found = json.loads(flower.ask("/api/tasks?state=FAILURE", login=flower.login)[2])
    assert list(found) == [failed]


def test_retries_of_one_waiting_file_are_one_row(flower: RunningFlower, worker: RemoteWorker) -> None:
    """Eight attempts would otherwise be half of the first page."""
    *_, last = [worker.analyse(WAITS) for _ in range(8)]
    row = shows(flower, last)
    waiting = [row for row in flower.tasks().values() if row["state"] == "RETRY"]
    assert (row["name"], row["retries"], len(waiting)) == ("nightread.analyse.put_back", 7, 1)
    page = flower.ask(
        "/tasks/datatable?draw=1&start=0&length=15&search[value]=state:RETRY&order[0][column]=0&order[0][dir]=desc"
        "&columns[0][data]=received",
        login=flower.login,
    )
    assert json.loads(page[2])["recordsFiltered"] == 1


def test_every_page_shows_the_state_of_the_queue(
    flower: RunningFlower, ledger_driver: LedgerDriver, redis_server_url: str
) -> None:
    """It follows the dispatcher: running with no worker, paused, resumed, gone with its report."""
    with open_dispatcher(ledger_driver, redis_server_url) as driver:
        ledger_driver.register(build_arrivals(2))
        driver.dispatcher.tick()
        assert line(flower) == ("danger", "No worker is alive: 2 images wait for a batch, 0 in batches.")
        ledger.pause(
            ledger_driver.database, cause=Cause.PERSON, detail="CANARY", actor="CANARY", now=ledger_driver.clock()
        )
        driver.sweep()
        level, text = line(flower)
        assert (level, text.partition(" since ")[0]) == ("danger", "Dispatch is PAUSED")
        pages = [flower.ask(path, login=flower.login)[2] for path in ("/", "/tasks", "/broker", "/queue")]
        assert all('id="nightread-queue"' in page and 'href="/queue"' in page for page in pages)
        assert "Images that wait for a batch" in pages[-1]
        assert "by a person" in pages[-1]
        assert not [page for page in [*pages, str(driver.redis.get("nightread.queue_report"))] if "CANARY" in page]
        driver.heartbeat(slots=2)
        ledger.end_pauses(ledger_driver.database, actor="test", now=ledger_driver.clock())
        driver.sweep()
        assert line(flower) == ("success", "Dispatch is running: 2 images wait for a batch, 0 in batches.")
    with Redis.from_url(redis_server_url) as redis:
        redis.delete("nightread.queue_report")
    assert line(flower)[1].startswith("No dispatcher has reported")


def test_the_page_of_the_queue_changes_nothing(flower: RunningFlower) -> None:
    """It answers GET only."""
    for path in ("/queue", "/api/queue"):
        assert flower.ask(path, method="POST", login=flower.login)[0] == 405
        assert flower.ask(path)[0] == 401


@pytest.mark.slow
def test_the_history_outlives_flower(
    flower: RunningFlower, worker: RemoteWorker, folder: Path, redis_server_url: str
) -> None:
    """A restart keeps rows with their states and names, and goes on removing earlier attempts."""
    before = worker.analyse(WAITS)
    for batch_id in (worker.analyse({"failed": 1}), before):
        shows(flower, batch_id)
    flower.process.terminate()
    flower.process.wait(30)
    with running_flower(folder, redis_server_url) as again:
        kept = again.tasks()
        assert {row["state"] for row in kept.values()} >= {"SUCCESS", "FAILURE", "RETRY"}
        assert kept[before]["name"] == "nightread.analyse.put_back"
        wait_until(lambda: worker.analyse({"done": 1}) in again.tasks(), 30, "the new Flower hears the worker")
        shows(again, worker.analyse(WAITS))
        assert before not in again.tasks()
