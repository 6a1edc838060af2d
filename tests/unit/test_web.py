"""HttpClient returns the response of a server, or raises an error that says why not."""

import base64
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import skip_reasons
from dicom_peers import free_port
from raw_server import running_raw_server
from web_server import Reply, Request, running_web_server

from nightread.instance import dicomweb_uri, orthanc_uri, retrieve
from nightread.sources import Login, Tls
from nightread.web import (
    HttpClient,
    MissingError,
    RefusedError,
    TooMuchError,
    UnavailableError,
    UnexpectedError,
    UnreachableError,
    WebError,
)

PART = b"--edge\r\nContent-Type: application/dicom\r\n\r\n%b\r\n--edge--\r\n"
MULTIPART = {"Content-Type": 'multipart/related; type="application/dicom"; boundary="edge"'}


@pytest.mark.parametrize(
    ("login", "header"),
    [
        ({"user": "me", "password": "caf\u00e9"}, "Basic " + base64.b64encode("me:caf\u00e9".encode()).decode()),
        ({"bearer": "token"}, "Bearer token"),
    ],
)
def test_the_login_is_sent_to_the_server_only(login: dict[str, str], header: str) -> None:
    """A redirect is not followed, since it could send the login to another host."""

    def answer(asked: Request) -> Reply:
        if asked.path == "/elsewhere":
            return Reply(status=302, headers={"Location": f"{other_server.url}/x"})
        return Reply(body=[json.dumps(asked.headers["Authorization"]).encode()])

    with running_web_server(lambda _: Reply()) as other_server, running_web_server(answer) as server:
        site = HttpClient(server.url, login=Login.model_validate(login))
        assert site.json("who") == header
        with pytest.raises(UnexpectedError, match="redirects"):
            site.json("elsewhere")
        assert other_server.asked == []


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, RefusedError),
        (403, RefusedError),
        (404, MissingError),
        (410, MissingError),
        (429, UnavailableError),
        (500, UnavailableError),
        (503, UnavailableError),
        (400, UnexpectedError),
        (406, UnexpectedError),
    ],
)
def test_each_status_raises_its_error(status: int, error: type[WebError]) -> None:
    """Temporary errors differ from errors to correct, and no text of the server is quoted."""
    with (
        running_web_server(lambda _: Reply(status=status, body=[b"PATIENT"])) as server,
        pytest.raises(error) as caught,
    ):
        HttpClient(server.url).json("x?name=PATIENT")
    assert str(status) in str(caught.value)
    assert "PATIENT" not in str(caught.value)


def _cut(_: Request) -> Reply:
    return Reply(headers={"Content-Length": "10"}, body=[b"half"])


def _page(_: Request) -> Reply:
    return Reply(body=[b"<html>welcome</html>"])


@pytest.mark.parametrize(("answer", "error"), [(_cut, UnavailableError), (_page, UnexpectedError)])
def test_incomplete_and_invalid_responses_raise_an_error(
    answer: Callable[[Request], Reply], error: type[WebError]
) -> None:
    """A login page of a proxy is no valid response either."""
    with running_web_server(answer) as server, pytest.raises(error):
        HttpClient(server.url).json("x")


def test_an_unreachable_server_differs_from_a_silent_one() -> None:
    """A closed port and an unknown host name are unreachable; a server that does not respond is unavailable."""
    with pytest.raises(UnreachableError, match="cannot be reached"):
        HttpClient(f"http://127.0.0.1:{free_port()}").json("x")
    with pytest.raises(UnreachableError, match="cannot be resolved"):
        HttpClient("http://no-such-host.invalid").json("x")
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(UnavailableError, match=r"within 0\.1 s") as caught,
    ):
        HttpClient(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_seconds=0.1).json("x")
    assert not isinstance(caught.value, UnreachableError)


def test_a_very_slow_server_counts_as_unavailable() -> None:
    """Each byte arrives in time, but the transfer is too slow as a whole."""
    ended = threading.Event()

    def slow_bytes() -> Iterator[bytes]:
        while not ended.wait(0.02):
            yield b"."

    began = time.monotonic()
    with running_web_server(lambda _: Reply(body=slow_bytes())) as server:
        with pytest.raises(UnavailableError, match="bytes per second"):
            HttpClient(server.url, timeout_seconds=1).read("x", {})
        ended.set()
    assert time.monotonic() - began < 20


def test_the_size_of_a_response_is_limited() -> None:
    """The transfer of a body of unknown length ends at the limit."""
    sent = []

    def endless_bytes() -> Iterator[bytes]:
        for _ in range(10_000):
            sent.append(1)
            yield bytes(100_000)

    with running_web_server(lambda _: Reply(body=endless_bytes())) as server, pytest.raises(TooMuchError):
        HttpClient(server.url).read("x", {}, max_bytes=1_000_000)
    assert len(sent) < 1000


def test_a_closed_persistent_connection_is_opened_again() -> None:
    """Orthanc closes a connection after one second without a request."""
    with running_web_server(
        lambda _: Reply(headers={"Content-Length": "4", "Connection": "keep-alive"}, body=[b"true"])
    ) as server:
        site = HttpClient(server.url)
        assert [site.json("x") for _ in range(3)] == [True] * 3


@pytest.mark.parametrize("status", [200, 202, 307, 409, 503])
def test_post_returns_responses_of_any_status(status: int) -> None:
    """The caller interprets the status; the content arrives unchanged."""
    reply = Reply(status=status, headers={"Content-Type": "text/x"}, body=[b"said"])
    with running_web_server(lambda _: reply) as server:
        site = HttpClient(server.url)
        answer = site.post("studies", b"\x00content", {"Content-Type": "a/b"})
        site.close()
    assert (answer.status, answer.content_type, answer.body) == (status, "text/x", b"said")
    (asked,) = server.asked
    assert (asked.path, asked.headers["Content-Type"], asked.body) == ("/studies", "a/b", b"\x00content")


def test_post_sends_once() -> None:
    """A server that closes the connection may have stored the content, so the caller decides about a repetition."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        connections = []

        def close_connection() -> None:
            with server.accept()[0] as connection:
                connections.append(connection.recv(100))

        thread = threading.Thread(target=close_connection, daemon=True)
        thread.start()
        with pytest.raises(UnavailableError, match="closed the connection") as caught:
            HttpClient(f"http://127.0.0.1:{server.getsockname()[1]}", timeout_seconds=5).post("x", b"content", {})
        thread.join(5)
    assert not isinstance(caught.value, UnreachableError)
    assert len(connections) == 1


@pytest.mark.parametrize("uri", [orthanc_uri("ab-cd"), dicomweb_uri("1.2", "3", "4.5")])
@pytest.mark.parametrize("content", [b"scan", b"", b"\r\n--edg\r\n\r\n"])
def test_an_instance_is_retrieved_as_it_is_stored(uri: str, content: bytes) -> None:
    """It comes bare or as a part of a message, in its own transfer syntax."""

    def answer(asked: Request) -> Reply:
        if asked.path.startswith("/studies/"):
            assert asked.headers["Accept"].endswith("transfer-syntax=*")
            return Reply(headers=MULTIPART, body=[PART % content])
        return Reply(body=[content])

    with running_web_server(answer) as server:
        assert retrieve(HttpClient(server.url), uri, max_bytes=100) == content


def test_a_store_without_wildcard_support_may_choose_the_syntax() -> None:
    """Stores that are older than the wildcard in PS3.18 do this."""

    def answer(asked: Request) -> Reply:
        if "*" in asked.headers["Accept"]:
            return Reply(status=406)
        return Reply(headers=MULTIPART, body=[PART % b"scan"])

    with running_web_server(answer) as server:
        assert retrieve(HttpClient(server.url), dicomweb_uri("1", "2", "3"), max_bytes=100) == b"scan"


@pytest.mark.parametrize(
    ("headers", "body", "error"),
    [
        ({"Content-Type": "multipart/related"}, b"no boundary", MissingError),
        (MULTIPART, PART[:-12], UnexpectedError),
        (MULTIPART, b"", MissingError),
        (MULTIPART, PART % bytes(200), TooMuchError),
    ],
)
def test_an_incomplete_multipart_message_is_no_image(
    headers: dict[str, str], body: bytes, error: type[WebError]
) -> None:
    """A message that exceeds the size limit is refused too."""
    with running_web_server(lambda _: Reply(headers=headers, body=[body])) as server, pytest.raises(error):
        retrieve(HttpClient(server.url), dicomweb_uri("1", "2", "3"), max_bytes=100)


@pytest.mark.parametrize("uri", [orthanc_uri("ab-cd"), dicomweb_uri("1", "2", "3")])
def test_a_web_page_is_no_image(uri: str) -> None:
    """A proxy may send its login page with status 200; the image must not be rejected for it."""
    page = Reply(headers={"Content-Type": "text/html; charset=utf-8"}, body=[b"<html>"])
    with running_web_server(lambda _: page) as server, pytest.raises(UnexpectedError, match="login"):
        retrieve(HttpClient(server.url), uri, max_bytes=100)


@pytest.mark.parametrize("uid", ["", ".", ".."])
def test_a_uid_of_dots_only_is_refused(uid: str) -> None:
    """It would address another resource; other special characters are quoted."""
    with pytest.raises(ValueError, match="empty name"):
        dicomweb_uri("1", "2", uid)
    assert dicomweb_uri("1/2", "a b", "\u00e9?") == "studies/1%2F2/series/a%20b/instances/%C3%A9%3F"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1 and its key, in one file."""
    if not shutil.which("openssl"):
        pytest.skip(skip_reasons.OPENSSL)
    folder = tmp_path_factory.mktemp("tls")
    key, pem = folder / "key.pem", folder / "all.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=store"]
    where = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(folder / "c.pem")]
    subprocess.run([*made, *where], check=True, capture_output=True)
    pem.write_bytes(key.read_bytes() + (folder / "c.pem").read_bytes())
    return pem


def _tls(**values: Path) -> Tls:
    return Tls.model_validate(values)


def test_a_trickle_over_tls_does_not_extend_the_time(certificate: Path) -> None:
    """The header never ends; each byte arrives in time."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    with running_raw_server(lambda server, _: server.trickle(b"H"), tls=context) as server:
        client = HttpClient(server.url, tls=_tls(ca=certificate), timeout_seconds=1)
        with pytest.raises(UnavailableError, match="within 1 s"):
            client.json("x")
        client.close()


def test_servers_are_verified_and_the_client_certificate_is_sent(certificate: Path) -> None:
    """A server whose authority is in `ca` may require a client certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(certificate)
    with running_web_server(lambda _: Reply(body=[b"1"]), tls=context) as server:
        assert HttpClient(server.url, tls=_tls(ca=certificate, certificate=certificate)).json("x") == 1
        with pytest.raises(RefusedError, match="certificate"):
            HttpClient(server.url).json("x")
    with pytest.raises(RefusedError, match="cannot be read"):
        HttpClient("https://127.0.0.1", tls=_tls(ca=certificate.with_name("none.pem")))
