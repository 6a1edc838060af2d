"""The API starts completely or says why not, stops when a part of it ended, and keeps no client waiting at its end."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from api_server import read_all, running_api
from compose_processes import wait_until
from databases import NewSqlite

from api.context import ApiContext
from api.intake.upkeep import Upkeep
from api.server import serve
from db import queries
from db.engine import Database
from nightread.clock import utc_now
from nightread.errors import StopWork, UsageFault
from nightread.nights import nights_of
from nightread.settings import load_settings
from nightread.sources import API
from producer.spool.spool import Spool, spool_root

POST = b"POST /v1/images?wait=60 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 132\r\n\r\n" + bytes(128) + b"DICM"
EVENTS = b"GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.fixture
def context_of(tmp_path: Path) -> Callable[[Database], ApiContext]:
    """Return the context of an API on a free port."""
    settings = load_settings(state_dir=tmp_path, api_port=0)
    return lambda database: ApiContext(settings=settings, database=database, nights=nights_of(settings))


def test_an_api_whose_spool_is_taken_says_so(
    new_sqlite: NewSqlite, tmp_path: Path, context_of: Callable[[Database], ApiContext]
) -> None:
    """It is an error in one sentence, and the API never said that it listens."""
    ports: list[int] = []
    with new_sqlite(tmp_path / "nightread.sqlite3", durable=True) as database:
        context = context_of(database)
        with Spool(spool_root(context.settings, API), clock=utc_now).locked(), pytest.raises(UsageFault):
            serve(context, on_listening=ports.append)

    assert ports == []


def test_an_api_of_which_a_part_ended_fails(
    new_sqlite: NewSqlite,
    tmp_path: Path,
    context_of: Callable[[Database], ApiContext],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its supervisor must not take this for a wanted stop."""

    async def fail(_upkeep: Upkeep) -> None:
        raise RuntimeError

    monkeypatch.setattr(Upkeep, "run", fail)
    with (
        new_sqlite(tmp_path / "nightread.sqlite3", durable=True) as database,
        pytest.raises(StopWork, match="service of the API ended"),
    ):
        serve(context_of(database))


def test_a_response_does_not_wait_for_an_acknowledgement(new_sqlite: NewSqlite, tmp_path: Path) -> None:
    """Nagle's algorithm is off on each connection: it would hold every body back until the client acknowledges."""
    with (
        new_sqlite(tmp_path / "nightread.sqlite3", durable=True) as database,
        running_api(database, tmp_path) as api,
        api.connect() as client,
    ):
        client.sendall(b"GET /v1/health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert client.recv(1024).startswith(b"HTTP/1.1 200")
        (connection,) = api.server.server_state.connections
        accepted = connection.transport.get_extra_info("socket")
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_clients_that_wait_are_answered_when_the_api_stops(new_sqlite: NewSqlite, tmp_path: Path) -> None:
    """A wait of a minute gets its 202, and a stream of events its end."""
    with (
        new_sqlite(tmp_path / "nightread.sqlite3", durable=True) as database,
        running_api(database, tmp_path) as api,
        api.connect() as waiting,
        api.connect() as listening,
    ):
        waiting.sendall(POST)
        listening.sendall(EVENTS)
        assert listening.recv(65536).startswith(b"HTTP/1.1 200")
        wait_until(lambda: queries.tally(database).arrived == 1, seconds=10, what="the image is registered")

        api.server.should_exit = True

        assert read_all(waiting).startswith(b"HTTP/1.1 202")
        assert read_all(listening).endswith(b"0\r\n\r\n")
