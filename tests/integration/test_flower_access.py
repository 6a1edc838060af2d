"""Flower answers its login and its own host names only; no web page of another origin can read or control it."""

import json
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
from running_flower import RunningFlower, running_flower

pytestmark = pytest.mark.timeout(120)

PAGES = (
    "/",
    "/workers",
    "/tasks",
    "/broker",
    "/queue",
    "/api/queue",
    "/api/workers",
    "/api/tasks",
    "/api/queues/length",
    "/api/task/types",
)
CONTROLS = (
    "/api/worker/shutdown/x",
    "/api/worker/pool/restart/x",
    "/api/worker/pool/grow/x",
    "/api/worker/queue/add-consumer/x",
    "/api/task/revoke/x",
    "/api/task/timeout/x",
    "/api/task/apply/x",
    "/api/task/send-task/x",
)
FOREIGN_HOSTS = (
    "attacker.example",
    "attacker.example:5555",
    "localhost.attacker.example",
    "127.0.0.1.attacker.example",
    "10.1.2.3",
    "[2001:db8::1]:5555",
    "localhost@attacker.example",
    "localhost, attacker.example",
    "",
)
OWN_HOSTS = ("127.0.0.1", "localhost:5555", "LOCALHOST", "[::1]:5555", "localhost.", "127.8.8.8", "pacs-night.example")


@pytest.fixture(scope="module")
def flower(tmp_path_factory: pytest.TempPathFactory, redis_server_url: str) -> Iterator[RunningFlower]:
    """Run Flower with a real Redis, or skip the test if there is no server."""
    with running_flower(tmp_path_factory.mktemp("flower"), redis_server_url) as running:
        yield running


@pytest.mark.parametrize("page", PAGES)
def test_no_page_opens_without_the_login(flower: RunningFlower, page: str) -> None:
    """Neither without a login nor with a wrong one, nor with one that the environment of Flower names."""
    for login in (None, "operator:wrong", "a:b", ":", "operator:"):
        assert flower.ask(page, login=login)[0] == HTTPStatus.UNAUTHORIZED
    assert flower.ask(page, login=flower.login)[0] == HTTPStatus.OK


@pytest.mark.parametrize("path", [*PAGES, "/metrics", "/healthcheck"])
def test_no_answer_may_be_read_by_other_origins(flower: RunningFlower, path: str) -> None:
    """No response has a header of CORS, with and without the login, also for the question before a request."""
    for method in ("GET", "OPTIONS"):
        for login in (None, flower.login):
            _, headers, _ = flower.ask(path, method=method, login=login, Origin="http://attacker.example")
            assert not [name for name in headers if name.lower().startswith("access-control-")]


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_a_foreign_host_name_is_refused(flower: RunningFlower, host: str) -> None:
    """A page whose name was bound to this address gets nothing, not even with the login; the name is not repeated."""
    for path in ("/", "/api/workers", "/metrics", "/healthcheck", "/static/css/flower.css"):
        for method in ("GET", "POST"):
            status, headers, body = flower.ask(path, method=method, login=flower.login, Host=host)
            assert status in (HTTPStatus.FORBIDDEN, HTTPStatus.BAD_REQUEST)  # the latter: no host name at all
            assert "html" not in headers.get("Content-Type", "")
            assert "attacker" not in body


def test_a_request_without_or_with_two_hosts_is_refused(flower: RunningFlower) -> None:
    """Neither HTTP/1.0 without Host, nor two Host headers, passes."""
    for head in (
        b"GET /metrics HTTP/1.0\r\n\r\n",
        b"GET /metrics HTTP/1.0\r\nHost: localhost\r\nHost: b.example\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", flower.port), timeout=15) as connection:
            connection.sendall(head)
            answer = connection.makefile("rb").readline()
        assert b" 200 " not in answer


@pytest.mark.parametrize("host", OWN_HOSTS)
def test_own_host_names_are_served(flower: RunningFlower, host: str) -> None:
    """The loopback names and the configured one open every page."""
    assert flower.ask("/api/workers", login=flower.login, Host=host)[0] == HTTPStatus.OK


@pytest.mark.parametrize("path", CONTROLS)
def test_control_calls_are_refused(flower: RunningFlower, path: str) -> None:
    """Flower is read-only with the login too, whatever its environment says."""
    status = flower.ask(path, method="POST", login=flower.login)[0]
    assert status == HTTPStatus.FORBIDDEN


def test_a_new_password_replaces_the_old_one_at_once(flower: RunningFlower) -> None:
    """The command prints the new password; the running Flower takes it and refuses the old one."""
    old = flower.login
    command = [sys.executable, "-P", "-m", "cli", "flower", "--new-password", "--state", str(flower.state)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert flower.login.partition(":")[2] in printed
    assert flower.login != old
    assert stat.S_IMODE(flower.login_file.stat().st_mode) == 0o600
    assert flower.ask("/tasks", login=old)[0] == HTTPStatus.UNAUTHORIZED
    assert flower.ask("/tasks", login=flower.login)[0] == HTTPStatus.OK
    assert not [path for path in flower.state.iterdir() if path.name.startswith(".flower")]


def test_a_deleted_password_opens_nothing(flower: RunningFlower) -> None:
    """Flower makes another one instead of answering without a login."""
    old = flower.login
    flower.login_file.unlink()
    assert flower.ask("/tasks")[0] == HTTPStatus.UNAUTHORIZED
    assert flower.ask("/tasks", login=old)[0] == HTTPStatus.UNAUTHORIZED
    assert flower.ask("/tasks", login=flower.login)[0] == HTTPStatus.OK


def test_the_password_is_in_no_log_and_no_argument(flower: RunningFlower) -> None:
    """It is in its file only."""
    shown = Path(f"/proc/{flower.process.pid}/cmdline").read_bytes() if sys.platform == "linux" else b""
    password = flower.login.partition(":")[2].encode()
    assert password not in shown + (flower.state / "flower.log").read_bytes()
    assert json.loads(flower.ask("/api/task/types", login=flower.login)[2])
