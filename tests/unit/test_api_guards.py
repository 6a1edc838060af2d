"""Bodies that are too large or too slow, and a database that must not be used, have the status that says so."""

from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from api_client import ApiDriver, api_driver
from api_server import RunningApi, read_all, running_api
from databases import NewSqlite

from nightread.errors import StopWork

JSON = b"POST /v1/pause HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
FORM = b"POST /sign-in HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\n"


@pytest.fixture
def api(new_sqlite: NewSqlite, tmp_path: Path) -> Iterator[RunningApi]:
    """An API that listens."""
    with (
        new_sqlite(tmp_path / "nightread.sqlite3", durable=True) as database,
        running_api(database, tmp_path) as running,
    ):
        yield running


@pytest.mark.parametrize(("head", "kind"), [(JSON, b"application/problem+json"), (FORM, b"text/html")])
def test_a_small_body_that_is_too_slow_is_408(
    api: RunningApi, monkeypatch: pytest.MonkeyPatch, head: bytes, kind: bytes
) -> None:
    """Whatever the framework makes of an error while it reads."""
    monkeypatch.setattr("api.guards._SMALL_SECONDS", 0.2)
    with api.connect() as connection:
        connection.sendall(head + b"Content-Length: 100\r\n\r\n{")
        answer = read_all(connection)

    assert answer.startswith(b"HTTP/1.1 408")
    assert b"content-type: " + kind in answer


@pytest.mark.parametrize("head", [JSON, FORM])
def test_a_small_body_that_is_too_large_is_413(api: RunningApi, head: bytes) -> None:
    """Its length was not declared."""
    chunks = b"".join(b"8000\r\n%b\r\n" % bytes(0x8000) for _ in range(3))
    with api.connect() as connection:
        connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
        assert read_all(connection).startswith(b"HTTP/1.1 413")


def test_a_database_that_was_replaced_is_503_until_it_is_back(
    new_sqlite: NewSqlite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No request in between is taken for one of an API without keys."""

    def stop(_database: object) -> NoReturn:
        raise StopWork("The database file was replaced.")

    with api_driver(new_sqlite, tmp_path) as driver:
        monkeypatch.setattr("api.keys.queries.api_keys", stop)
        assert [_resume(driver) for _ in range(3)] == [503] * 3


def _resume(driver: ApiDriver) -> int:
    return driver.client.post("/v1/resume").status_code
