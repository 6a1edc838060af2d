"""PostgreSQL goes away while the API serves, and comes back: the same process works again, and nothing is lost."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest
from api_server import RunningApi, running_api
from compose_processes import wait_until
from httpx2 import Client, Response
from ledger_driver import LedgerDriver
from postgres_stopped import stopped
from servers import private_postgres
from sqlalchemy import select, text

from db import ledger, schema
from db.engine import Database, open_database
from db.tables import instances
from nightread.clock import utc_now

pytestmark = [
    pytest.mark.servers,
    pytest.mark.timeout(180),
    # psycopg cannot close a cursor of a server that is gone, and then says that it was never closed.
    pytest.mark.filterwarnings("ignore:Exception ignored in. <function ServerCursorMixin.__del__"),
]

READS = (
    "/v1/results",
    "/v1/results?format=csv",
    "/v1/images/1",
    "/v1/studies",
    "/v1/batches",
    "/v1/status",
    "/v1/nights/last",
    "/v1/health",
)
PAGES = ("/", "/images", "/images/1", "/failures", "/batches")


def client_of(api: RunningApi) -> Client:
    """Return a client with connections of its own."""
    return Client(base_url=f"http://127.0.0.1:{api.port}", timeout=90)


def post(client: Client, content: bytes, wait: int = 0) -> Response:
    """Send one image."""
    return client.post(f"/v1/images?wait={wait}", content=content, headers={"Content-Type": "application/dicom"})


@dataclass
class Sender:
    """A client that sends images one after the other, each with other bytes."""

    api: RunningApi
    number: int
    statuses: list[int] = field(default_factory=list)
    acknowledged: list[int] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def send(self) -> None:
        """Send until `stop` is set."""
        with client_of(self.api) as client:
            for number in count():
                if self.stop.is_set():
                    return
                response = post(client, b"%d of %d" % (number, self.number))
                if response.status_code == 202:
                    self.acknowledged.append(response.json()["image_id"])
                self.statuses.append(response.status_code)


@contextmanager
def senders(api: RunningApi) -> Iterator[list[Sender]]:
    """Run four clients until the end of the context."""
    found = [Sender(api, number) for number in range(4)]
    threads = [threading.Thread(target=sender.send) for sender in found]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        for sender in found:
            sender.stop.set()
        for thread in threads:
            thread.join(60)


@pytest.fixture
def ready(tmp_path: Path) -> Iterator[tuple[object, Database]]:
    """A PostgreSQL of its own, and a database of the newest schema."""
    with private_postgres() as server:
        server.execute("CREATE DATABASE away TEMPLATE template0")
        with closing(open_database(server.url("away"), durable=True, connections=12)) as database:
            schema.upgrade(database)
            yield server, database


def test_a_stopped_database_is_503_and_nothing_more(
    ready: tuple[object, Database], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests say what is wrong and when to try again; afterwards the same process registers all that it holds."""
    monkeypatch.setattr("api.intake.upkeep._TICK_SECONDS", 0.2)
    server, database = ready
    with running_api(database, tmp_path, api_connections=12) as api, client_of(api) as client, senders(api) as found:
        wait_until(lambda: all(202 in sender.statuses for sender in found), seconds=30, what="images are taken")
        waiting = Waiting(api)
        wait_until(lambda: waiting.is_registered(database), seconds=30, what="a client waits")
        with stopped(server):
            wait_until(lambda: all(503 in sender.statuses for sender in found), seconds=60, what="images are refused")
            refused = [post(client, b"image"), *map(client.get, READS)]
            pages = [*map(client.get, PAGES)]
        back = [len(sender.statuses) for sender in found]
        wait_until(
            lambda: all(202 in sender.statuses[at:] for sender, at in zip(found, back, strict=True)),
            seconds=60,
            what="images are taken again",
        )
        driver = LedgerDriver(database=database, clock=utc_now, source_id=1)
        register_model(database)
        driver.analyse_all()
        assert waiting.response().json()["state"] == "done"
        assert [client.get(path).status_code for path in (*READS, *PAGES)] == [200] * len((*READS, *PAGES))
        wait_until(lambda: has_lock(database), seconds=30, what="the API holds its lock again")

    assert [(response.status_code, response.headers["content-type"]) for response in refused] == [
        (503, "application/problem+json")
    ] * len(refused)
    assert {response.json()["detail"].partition(":")[0] for response in refused} == {"The database is unavailable"}
    assert all(response.headers["retry-after"] for response in [*refused, *pages])
    assert [(page.status_code, page.headers["content-type"]) for page in pages] == [
        (503, "text/html; charset=utf-8")
    ] * len(pages)
    assert {status for sender in found for status in sender.statuses} == {202, 503}
    acknowledged = [image_id for sender in found for image_id in sender.acknowledged]
    assert len(set(acknowledged)) == len(acknowledged)
    stored = uris(database)
    assert set(acknowledged) <= stored.keys()
    assert len(set(stored.values())) == len(stored) == len(api.spooled)


@dataclass
class Waiting:
    """A client that waits for the outcome of its image, from before the outage until after it."""

    api: RunningApi
    _responses: list[Response] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._wait)
        self._thread.start()

    def is_registered(self, database: Database) -> bool:
        """Return whether the one urgent image is registered."""
        return ledger.queue_status(database, images=1000, now=utc_now()).urgent == 1

    def response(self) -> Response:
        """Return the response."""
        self._thread.join(90)
        (response,) = self._responses
        return response

    def _wait(self) -> None:
        with client_of(self.api) as client:
            self._responses.append(post(client, b"urgent", wait=60))


def register_model(database: Database) -> None:
    """Register the model of the outcomes."""
    labels = {"labels": ["normal", "nodule"], "normal_label": "normal"}
    ledger.register_bundle(database, name="phantom", version="1", digest="d" * 64, now=utc_now(), **labels)


def has_lock(database: Database) -> bool:
    """Return whether the lock that only one API has is held."""
    with database.read() as connection:
        held = connection.execute(text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"))
        return held.scalar_one() == 1


def uris(database: Database) -> dict[int, str]:
    """Return the place of each image."""
    with database.read() as connection:
        return {row.id: row.uri for row in connection.execute(select(instances.c.id, instances.c.uri))}
