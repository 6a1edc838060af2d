"""Whatever a client sends, the API answers with a problem or closes the connection, and keeps serving others."""

import logging
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from api_server import RunningApi, read_all, running_api
from compose_processes import wait_until
from databases import NewSqlite
from small_disk import full, small_disk

from api.deadline_protocol import DeadlineProtocol
from api.server import listen
from db import queries
from nightread.errors import UsageFault
from nightread.log import JsonLines, TextLines

DICOM = b"\0" * 128 + b"DICM"
HOST = b"Host: 127.0.0.1\r\nConnection: close\r\n"
CANARY = "CANARY"


@pytest.fixture
def api(new_sqlite: NewSqlite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningApi]:
    """An API that gives headers half a second."""
    monkeypatch.setattr(DeadlineProtocol, "header_seconds", 0.5)
    with (
        new_sqlite(tmp_path / "nightread.sqlite3", durable=True) as database,
        running_api(database, tmp_path, max_file_bytes=1024**2) as running,
    ):
        yield running
        assert status(running.exchange(b"GET /v1/health HTTP/1.1\r\n" + HOST + b"\r\n")) == 200


def status(answer: bytes) -> int:
    """Return the status of a response."""
    found = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
    assert found is not None, answer[:200]
    return int(found[1])


def post(body: bytes, headers: bytes = b"") -> bytes:
    """Return a request that sends a file."""
    length = b"Content-Length: %d\r\n" % len(body)
    return b"POST /v1/images?wait=0 HTTP/1.1\r\n" + HOST + length + headers + b"\r\n" + body


def test_no_response_names_the_server(api: RunningApi) -> None:
    """Its release is nobody's business."""
    answer = api.exchange(post(DICOM, b"Content-Type: application/dicom\r\n"))

    assert status(answer) == 202
    assert b"server:" not in answer.lower()
    assert b"uvicorn" not in answer.lower()


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % number for number in range(10_000)),
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"no HTTP at all\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /v1/images HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 100,
    ],
)
def test_what_is_no_request_is_refused(api: RunningApi, request_bytes: bytes) -> None:
    """Ten thousand headers, a line without end, other protocols, request smuggling."""
    assert status(api.exchange(request_bytes)) == 400


@pytest.mark.parametrize("kind", [b"application/dicom", b"text/html"])
def test_a_chunked_body_that_breaks_logs_no_error(
    api: RunningApi, caplog: pytest.LogCaptureFixture, kind: bytes
) -> None:
    """Before the response, and after the response 415 that does not wait for the body."""
    with api.connect() as connection:
        connection.sendall(
            b"POST /v1/images HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\nContent-Type: "
            + kind
            + b"\r\n\r\n5\r\nabcde\r\n"
        )
        begin = b"" if kind == b"application/dicom" else connection.recv(65536)
        connection.sendall(b"ZZ\r\n")
        answer = begin + read_all(connection)
    wait_until(lambda: caplog.records != [], seconds=10, what="the invalid request is logged")

    assert status(answer) == (400 if kind == b"application/dicom" else 415)
    assert [record.getMessage() for record in caplog.records] == ["Invalid HTTP request received."]


@pytest.mark.parametrize("host", [b"x?", b"x/", b"x#", b"evil.example", b"", b"127.0.0.1, evil.example"])
def test_other_hosts_are_not_answered(api: RunningApi, host: bytes) -> None:
    """Frameworks have taken the path from such a header (CVE-2026-48710)."""
    answer = api.exchange(b"GET /v1/results HTTP/1.1\r\nConnection: close\r\nHost: " + host + b"\r\n\r\n")

    assert status(answer) in (400, 403)


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/v1/../v1/images/1",
        "/v1/images/..%2f..%2fetc",
        "/v1/images/1%00",
        "/v1/images/%F0%9F",
        "//v1/images/1",
        "/v1/images/-1",
        "/v1/images/1e3",
        "/static/..%2f..%2fpyproject.toml",
        "/%2e%2e/",
        "http://evil.example/v1/images/1",
    ],
)
def test_paths_lead_nowhere_else(api: RunningApi, path: str) -> None:
    """No file of this machine is behind any path."""
    answer = api.exchange(f"GET {path} HTTP/1.1\r\n".encode() + HOST + b"\r\n")

    assert status(answer) in (303, 307, 400, 404, 422)
    assert b"root:" not in answer


def test_headers_that_trickle_are_cut_off(api: RunningApi) -> None:
    """A connection that never completes its request is closed (slow loris); so is a second request of a connection."""
    with api.connect() as connection:
        connection.sendall(b"GET /v1/health HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        assert read_all(connection) == b""
    with api.connect() as connection:
        connection.sendall(b"GET /v1/health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert status(connection.recv(65536)) == 200
        connection.sendall(b"GET ")
        assert b"HTTP/" not in read_all(connection)


def test_a_silent_connection_is_cut_off(api: RunningApi) -> None:
    """Not a byte came."""
    with api.connect() as connection:
        assert read_all(connection) == b""


@pytest.mark.parametrize(
    "first_line",
    [b"POST /v1/images HTTP/1.1", b"GET /v1/health HTTP/1.1", b"GET /nothing HTTP/1.1"],
)
def test_a_body_that_nobody_reads_is_cut_off(api: RunningApi, first_line: bytes) -> None:
    """Each byte would otherwise end the keep-alive time, and the connection would stay for ever."""
    wrong_key = b"Authorization: Bearer nr_wrong\r\n" if b"POST" in first_line else b""
    with api.connect() as connection:
        connection.sendall(first_line + b"\r\nHost: 127.0.0.1\r\nContent-Length: 60000\r\n" + wrong_key + b"\r\n")
        assert status(connection.recv(65536)) in (200, 401, 404)
        connection.sendall(b"x")
        read_all(connection)


def test_a_connection_goes_on_after_the_rest_of_a_body(api: RunningApi) -> None:
    """A client that sends its body while it is refused gets the response, and may send its next request."""
    with api.connect() as connection:
        connection.sendall(b"GET /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 60000\r\n\r\n")
        assert status(connection.recv(65536)) == 404
        connection.sendall(bytes(60_000) + b"GET /v1/health HTTP/1.1\r\n" + HOST + b"\r\n")
        assert b"HTTP/1.1 200" in read_all(connection)


def test_connections_are_limited(new_sqlite: NewSqlite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that send nothing count too; one beyond both limits is closed at once, and not after its deadline."""
    monkeypatch.setattr("api.server._CONNECTIONS", 3)
    monkeypatch.setattr(DeadlineProtocol, "refused_connections", 1)
    monkeypatch.setattr(DeadlineProtocol, "header_seconds", 60)
    with (
        new_sqlite(tmp_path / "nightread.sqlite3", durable=True) as database,
        running_api(database, tmp_path) as api,
        ExitStack() as stack,
    ):
        for _ in range(4):
            last = stack.enter_context(api.connect())
        with api.connect() as surplus:
            assert read_all(surplus) == b""
        last.sendall(b"GET /v1/health HTTP/1.1\r\n" + HOST + b"\r\n")
        assert status(read_all(last)) == 503


def test_a_body_that_trickles_is_cut_off(api: RunningApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of it stays."""
    monkeypatch.setattr("api.bodies._IDLE_SECONDS", 0.3)
    with api.connect() as connection:
        connection.sendall(post(DICOM)[:-1])

        assert status(read_all(connection)) == 408

    assert api.spooled == []


def test_a_client_that_goes_away_in_its_body_leaves_nothing(api: RunningApi) -> None:
    """The body is truncated, so it was never acknowledged."""
    with api.connect() as connection:
        connection.sendall(b"POST /v1/images HTTP/1.1\r\n" + HOST + b"Content-Length: 1000000\r\n\r\n" + bytes(500_000))

    wait_until(lambda: not api.server.server_state.tasks, seconds=10, what="the request ends")
    assert api.spooled == []
    assert queries.tally(api.database).arrived == 0


def test_a_client_that_goes_away_while_it_waits_loses_nothing(api: RunningApi) -> None:
    """The image is durable before any answer."""
    with api.connect() as connection:
        connection.sendall(post(DICOM).replace(b"wait=0", b"wait=2"))
        wait_until(lambda: queries.tally(api.database).arrived == 1, seconds=10, what="the image is registered")

    assert len(api.spooled) == 1


def test_a_body_that_is_declared_too_large_is_not_read(api: RunningApi) -> None:
    """The answer comes before the client has sent it; a client that asks first (`Expect`) need not send it."""
    headers = b"Content-Length: 99999999999\r\nExpect: 100-continue\r\n\r\n"

    answer = api.exchange(b"POST /v1/images HTTP/1.1\r\nHost: 127.0.0.1\r\n" + headers)

    assert status(answer) == 413


def test_two_clients_that_send_the_same_bytes_get_one_image_each(api: RunningApi) -> None:
    """The files do not share a name, and each client has its own row."""
    answers: list[bytes] = []
    threads = [threading.Thread(target=lambda: answers.append(api.exchange(post(DICOM)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [status(answer) for answer in answers] == [202] * 8
    assert {re.search(rb"location: (\S+)", answer)[1] for answer in answers} == {  # type: ignore[index]
        b"/v1/images/%d" % number for number in range(1, 9)
    }


def test_logs_hold_neither_paths_nor_queries(api: RunningApi, caplog: pytest.LogCaptureFixture) -> None:
    """A path may hold a UID, a query a patient number, and a header anything."""
    requests = (
        f"GET /v1/studies/{CANARY} HTTP/1.1\r\n",
        f"GET /v1/results?patient={CANARY} HTTP/1.1\r\n",
        f"GET /{CANARY} HTTP/1.1\r\nAuthorization: Bearer {CANARY}\r\n",
        f"{CANARY} / HTTP/1.1\r\n",
        f"GET / HTTP/1.1\r\nCookie: a={CANARY}\r\n",
    )
    with caplog.at_level(logging.DEBUG):
        answers = [api.exchange(request.encode() + HOST + b"\r\n") for request in requests]

    lines = [formatter.format(record) for record in caplog.records for formatter in (JsonLines(), TextLines())]
    assert any("/v1/studies/{study_instance_uid}" in line for line in lines)
    assert not [line for line in lines if CANARY in line]
    assert not [answer for answer in answers if CANARY.encode() in answer]


def test_a_full_disk_refuses_images(new_sqlite: NewSqlite, tmp_path: Path) -> None:
    """507, and nothing is registered; when there is space again, images are taken."""
    with (
        small_disk(tmp_path / "disk", mib=8) as disk,
        new_sqlite(tmp_path / "nightread.sqlite3", durable=True) as database,
        running_api(database, tmp_path, spool_dir=disk, disk_reserve_bytes=0) as api,
    ):
        with full(disk):
            assert status(api.exchange(post(DICOM))) == 507
        wait_until(lambda: status(api.exchange(post(DICOM))) == 202, seconds=10, what="images are taken again")

    assert [path.suffix for path in disk.glob("*/*/*/*")] in ([], [".dcm"])


def test_without_redis_images_are_accepted(new_sqlite: NewSqlite, tmp_path: Path) -> None:
    """The ledger is enough: the dispatcher looks every second."""
    nowhere = f"unix://{tmp_path}/none.sock"
    with (
        new_sqlite(tmp_path / "nightread.sqlite3", durable=True) as database,
        running_api(database, tmp_path, redis_url=nowhere) as api,
    ):
        assert status(api.exchange(post(DICOM))) == 202


def test_a_port_that_is_taken_is_an_error_in_one_sentence() -> None:
    """Not a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(UsageFault, match="choose another port"):
        listen("127.0.0.1", taken.getsockname()[1])
