"""Whatever one store does, the others are polled on, and `status` names the store and what it did."""

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, repeat
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from ledger_driver import LedgerDriver
from raw_server import CHUNKED, JSON, OK, RawServer, running_raw_server
from sqlalchemy.exc import DataError
from web_server import Reply, Request, running_web_server

from db import queries
from db.condition.source_problems import source_problems
from nightread.settings import load_settings
from nightread.sources import DicomwebSource, OrthancSource
from nightread.stores import Store
from producer.stores import poll as polling
from producer.stores.change_feed import ChangePage
from producer.stores.poll import StorePoller, poll

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

SHORT_SECONDS = 1.0
"""The time-out of stores that run out of time; their header, where they send one, must arrive within it."""
SECONDS = 60.0
"""The time-out of all others: a busy machine may stop a server for some seconds."""
PATIENCE_SECONDS = 30.0


class HonestOrthanc:
    """An Orthanc with a number of images that a test increases."""

    images = 1

    def __call__(self, asked: Request) -> Reply:
        """Respond as the REST API of Orthanc."""
        url = urlsplit(asked.path)
        answer: Any = [{"ID": one, "FileSize": 9} for one in json.loads(asked.body or b"{}").get("Resources", [])]
        if url.path == "/changes":
            since = int(parse_qs(url.query)["since"][0])
            changes = [
                {"Seq": n, "ChangeType": "NewInstance", "ID": f"i{n}", "Date": "d"}
                for n in range(since + 1, self.images + 1)
            ]
            answer = {"Changes": changes, "Last": self.images, "Done": True}
        return Reply(body=[json.dumps(answer).encode()])


@dataclass(kw_only=True)
class Feed:
    """A store that returns these pages, and then raises the error."""

    pages: Sequence[ChangePage] = ()
    error: Exception | None = None

    def since(self, _cursor: object) -> Iterator[ChangePage]:
        """Implement ChangeFeed.since."""
        yield from self.pages
        if self.error:
            raise self.error


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until the condition holds; fail after 30 s."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the condition did not hold within 30 s"
        time.sleep(0.005)


@contextmanager
def polled(ledger_driver: LedgerDriver, *stores: Store) -> Iterator[threading.Event]:
    """Poll these stores in a thread of this process; it must still run at the end."""
    stop = threading.Event()
    arguments = (load_settings(), ledger_driver.database, stores, stop, lambda _arrivals: None)
    thread = threading.Thread(target=poll, args=arguments)
    thread.start()
    try:
        yield stop
        assert not stop.is_set()
        assert thread.is_alive()
    finally:
        stop.set()
        thread.join(PATIENCE_SECONDS)


def problems(ledger_driver: LedgerDriver, name: str) -> list[str]:
    """Return what `status` says about a source."""
    return [
        problem
        for source in queries.sources(ledger_driver.database)
        if source.name == name
        for problem in source_problems(source, datetime.now(UTC))
    ]


def body(text: str) -> Callable[[RawServer, str], Iterable[bytes]]:
    return lambda _server, _request: [OK, b"Connection: close\r\n\r\n", text.encode()]


CHANGE = '{"Changes": [{"Seq": %s, "ChangeType": "NewInstance", "ID": "a", "Date": "d"}], "Last": 1, "Done": true}'
NO_ORTHANC = "the store does not answer like an Orthanc server: check its address"
NO_DICOMWEB = "the store does not answer like a DICOMweb store: check its address"
SLOW = f"the store does not answer within {SHORT_SECONDS:g} s"
INVALID = "the store sent invalid JSON: check its URL"
TOO_SLOW = "the store sent less than 65536 bytes per second"
TOO_MUCH = "the store sent more than 33554432 bytes"

ANSWERS: dict[str, tuple[str, Callable[[RawServer, str], Iterable[bytes]], str]] = {
    "number without bounds": ("orthanc", body(CHANGE % "1e999"), NO_ORTHANC),
    "number of 25 digits": ("orthanc", body(CHANGE % ("1" * 25)), NO_ORTHANC),
    "number of 5,000 digits": ("orthanc", body(CHANGE % ("1" * 5000)), INVALID),
    "NaN": ("orthanc", body(CHANGE % "NaN"), NO_ORTHANC),
    "deep nesting": ("dicomweb", body("[" * 200_000), INVALID),
    "rows of numbers": ("dicomweb", body("[1, 2]"), NO_DICOMWEB),
    "no list": ("dicomweb", body('{"a": 1}'), NO_DICOMWEB),
    "web page": ("dicomweb", body("<html>"), INVALID),
    "endless body": ("orthanc", lambda _s, _r: chain([JSON, b"\r\n["], repeat(b" " * 65536)), TOO_MUCH),
    "endless headers": (
        "orthanc",
        lambda _s, _r: chain([OK], repeat(b"X: 1\r\n")),
        "the store sent no valid HTTP response (HTTPException)",
    ),
    "trickling headers": ("dicomweb", lambda server, _r: chain([OK], server.trickle(b"X")), SLOW),
    "trickling interim responses": (
        "orthanc",
        lambda server, _r: server.trickle(b"HTTP/1.1 100 Continue\r\n\r\n"),
        SLOW,
    ),
    "trickling trailer": (
        "dicomweb",
        lambda server, _r: chain([CHUNKED, b"0\r\n"], server.trickle(b"X")),
        TOO_SLOW,
    ),
    "silence": ("orthanc", lambda server, _r: [b""] * server.stop.wait(60), SLOW),
    "closed connection": (
        "orthanc",
        lambda _s, _r: [],
        "the store closed the connection before the response was complete",
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_one_store_does_not_stop_the_others(ledger_driver: LedgerDriver, name: str) -> None:
    """After the failure of the hostile store, a new image of the honest one is registered."""
    kind, answer, problem = ANSWERS[name]
    honest = HonestOrthanc()
    with running_raw_server(answer) as bad, running_web_server(honest) as good:
        seconds = SHORT_SECONDS if problem in {SLOW, TOO_SLOW} else SECONDS
        values = {"name": "bad", "url": bad.url, "timeout_seconds": seconds, "poll_seconds": 0.05}
        hostile = (OrthancSource if kind == "orthanc" else DicomwebSource).model_validate(values)
        other = OrthancSource.model_validate({"name": "good", "url": good.url, "poll_seconds": 0.05})
        with polled(ledger_driver, hostile, other):
            wait_until(lambda: problems(ledger_driver, "bad"))
            assert problems(ledger_driver, "bad") == [problem]
            honest.images = 2
            wait_until(lambda: len(ledger_driver.instances()) == 2)
            assert problems(ledger_driver, "good") == []
        bad.stop.set()


@pytest.mark.parametrize(
    "error", [OverflowError(), MemoryError(), RecursionError(), DataError("insert", {}, Exception()), AssertionError()]
)
def test_an_error_that_nobody_expected_concerns_one_store(
    ledger_driver: LedgerDriver, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """A value that the database refuses is a property of the store, too, and no outage of the database."""
    monkeypatch.setattr(polling, "open_feed", lambda _store, _settings: Feed(error=error))
    store = OrthancSource.model_validate({"name": "bad", "url": "http://127.0.0.1:1"})
    poller = StorePoller(store, load_settings(), ledger_driver.database, lambda _: None, clock=ledger_driver.clock)
    assert not poller._try_poll(threading.Event())
    (problem,) = poller.report.troubles
    assert problem.startswith(f"caused an unexpected {type(error).__name__} in nightread")


def test_a_store_cannot_flood_the_status(ledger_driver: LedgerDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 500 different problems ten are named."""
    page = ChangePage(arrivals=[], counts=[], cursor={}, troubles=[f"does {n:03}" for n in range(500)])
    monkeypatch.setattr(polling, "open_feed", lambda _store, _settings: Feed(pages=[page]))
    store = OrthancSource.model_validate({"name": "bad", "url": "http://127.0.0.1:1"})
    poller = StorePoller(store, load_settings(), ledger_driver.database, lambda _: None, clock=ledger_driver.clock)
    assert poller._try_poll(threading.Event())
    assert poller.report.troubles == (*(f"does {n:03}" for n in range(10)), "has 490 further problems")
