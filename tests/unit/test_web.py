"""A web server that is asked for something gives it, or we can say why not."""

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
from web_server import Reply, Request, running_web_server

from nightread.instance import dicomweb_uri, orthanc_uri, retrieve
from nightread.sources import Login, Tls
from nightread.web import (
    MissingError,
    RefusedError,
    TooMuchError,
    UnavailableError,
    UnexpectedError,
    UnreachableError,
    WebError,
    Website,
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
def test_the_login_goes_along_and_no_further(login: dict[str, str], header: str) -> None:
    """A redirection could lead it to a stranger: it is not followed."""

    def answer(asked: Request) -> Reply:
        if asked.path == "/elsewhere":
            return Reply(status=302, headers={"Location": f"{stranger.url}/x"})
        return Reply(body=[json.dumps(asked.headers["Authorization"]).encode()])

    with running_web_server(lambda _: Reply()) as stranger, running_web_server(answer) as server:
        site = Website(server.url, login=Login.model_validate(login))
        assert site.json("who") == header
        with pytest.raises(UnexpectedError, match="redirects"):
            site.json("elsewhere")
        assert stranger.asked == []


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
def test_each_status_means_something(status: int, error: type[WebError]) -> None:
    """What may be tried again is told from what must be corrected, without a word of the server's."""
    with (
        running_web_server(lambda _: Reply(status=status, body=[b"PATIENT"])) as server,
        pytest.raises(error) as caught,
    ):
        Website(server.url).json("x?name=PATIENT")
    assert str(status) in str(caught.value)
    assert "PATIENT" not in str(caught.value)


def _cut(_: Request) -> Reply:
    return Reply(headers={"Content-Length": "10"}, body=[b"half"])


def _page(_: Request) -> Reply:
    return Reply(body=[b"<html>welcome</html>"])


@pytest.mark.parametrize(("answer", "error"), [(_cut, UnavailableError), (_page, UnexpectedError)])
def test_half_an_answer_is_none(answer: Callable[[Request], Reply], error: type[WebError]) -> None:
    """Nor is the login page of something else."""
    with running_web_server(answer) as server, pytest.raises(error):
        Website(server.url).json("x")


def test_a_server_that_is_not_there_is_told_from_one_that_is_silent() -> None:
    """Nobody at the port, no such name, nobody who answers."""
    with pytest.raises(UnreachableError, match="cannot be reached"):
        Website(f"http://127.0.0.1:{free_port()}").json("x")
    with pytest.raises(UnreachableError, match="cannot be resolved"):
        Website("http://no-such-host.invalid").json("x")
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(UnavailableError, match=r"within 0\.1 s") as caught,
    ):
        Website(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_seconds=0.1).json("x")
    assert not isinstance(caught.value, UnreachableError)


def test_a_trickle_is_as_good_as_silence() -> None:
    """Each byte comes in time, and still there is an end to it."""
    ended = threading.Event()

    def drops() -> Iterator[bytes]:
        while not ended.wait(0.02):
            yield b"."

    began = time.monotonic()
    with running_web_server(lambda _: Reply(body=drops())) as server:
        with pytest.raises(UnavailableError, match="bytes per second"):
            Website(server.url, timeout_seconds=0.3).read("x", {})
        ended.set()
    assert time.monotonic() - began < 3


def test_there_is_an_end_to_what_is_read() -> None:
    """A body of unknown length is broken off beyond the limit, and not kept."""
    sent = []

    def flood() -> Iterator[bytes]:
        for _ in range(10_000):
            sent.append(1)
            yield bytes(100_000)

    with running_web_server(lambda _: Reply(body=flood())) as server, pytest.raises(TooMuchError):
        Website(server.url).read("x", {}, max_bytes=1_000_000)
    assert len(sent) < 1000


def test_a_kept_connection_that_was_closed_meanwhile_costs_nothing() -> None:
    """Orthanc hangs up after a second without a question."""
    with running_web_server(
        lambda _: Reply(headers={"Content-Length": "4", "Connection": "keep-alive"}, body=[b"true"])
    ) as server:
        site = Website(server.url)
        assert [site.json("x") for _ in range(3)] == [True] * 3


@pytest.mark.parametrize("status", [200, 202, 307, 409, 503])
def test_what_is_posted_is_answered_with_any_status(status: int) -> None:
    """The caller knows what it means; the content arrives as it is."""
    reply = Reply(status=status, headers={"Content-Type": "text/x"}, body=[b"said"])
    with running_web_server(lambda _: reply) as server:
        site = Website(server.url)
        answer = site.post("studies", b"\x00content", {"Content-Type": "a/b"})
        site.close()
    assert (answer.status, answer.content_type, answer.body) == (status, "text/x", b"said")
    (asked,) = server.asked
    assert (asked.path, asked.headers["Content-Type"], asked.body) == ("/studies", "a/b", b"\x00content")


def test_what_is_posted_is_sent_once() -> None:
    """A server that hangs up may have taken it: whether it is to be sent again is not ours to say."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        connections = []

        def hang_up() -> None:
            with server.accept()[0] as connection:
                connections.append(connection.recv(100))

        thread = threading.Thread(target=hang_up, daemon=True)
        thread.start()
        with pytest.raises(UnavailableError, match="closed the connection") as caught:
            Website(f"http://127.0.0.1:{server.getsockname()[1]}", timeout_seconds=5).post("x", b"content", {})
        thread.join(5)
    assert not isinstance(caught.value, UnreachableError)
    assert len(connections) == 1


@pytest.mark.parametrize("uri", [orthanc_uri("ab-cd"), dicomweb_uri("1.2", "3", "4.5")])
@pytest.mark.parametrize("content", [b"scan", b"", b"\r\n--edg\r\n\r\n"])
def test_an_instance_comes_as_it_is_stored(uri: str, content: bytes) -> None:
    """Bare or as the part of a message, in its own transfer syntax."""

    def answer(asked: Request) -> Reply:
        if asked.path.startswith("/studies/"):
            assert asked.headers["Accept"].endswith("transfer-syntax=*")
            return Reply(headers=MULTIPART, body=[PART % content])
        return Reply(body=[content])

    with running_web_server(answer) as server:
        assert retrieve(Website(server.url), uri, max_bytes=100) == content


def test_a_store_that_knows_no_wildcard_may_choose_the_syntax() -> None:
    """As those did that were written before PS3.18 had it."""

    def answer(asked: Request) -> Reply:
        if "*" in asked.headers["Accept"]:
            return Reply(status=406)
        return Reply(headers=MULTIPART, body=[PART % b"scan"])

    with running_web_server(answer) as server:
        assert retrieve(Website(server.url), dicomweb_uri("1", "2", "3"), max_bytes=100) == b"scan"


@pytest.mark.parametrize(
    ("headers", "body", "error"),
    [
        ({"Content-Type": "multipart/related"}, PART, UnexpectedError),
        (MULTIPART, PART[:-12], UnexpectedError),
        (MULTIPART, b"", MissingError),
        (MULTIPART, PART % bytes(200), TooMuchError),
    ],
)
def test_a_message_that_is_not_whole_is_no_image(headers: dict[str, str], body: bytes, error: type[WebError]) -> None:
    """Nor is one that is larger than allowed."""
    with running_web_server(lambda _: Reply(headers=headers, body=[body])) as server, pytest.raises(error):
        retrieve(Website(server.url), dicomweb_uri("1", "2", "3"), max_bytes=100)


@pytest.mark.parametrize("uri", [orthanc_uri("ab-cd"), dicomweb_uri("1", "2", "3")])
def test_a_page_is_no_image(uri: str) -> None:
    """A proxy that asks for a login answers with success: the image is not to be rejected for it."""
    page = Reply(headers={"Content-Type": "text/html; charset=utf-8"}, body=[b"<html>"])
    with running_web_server(lambda _: page) as server, pytest.raises(UnexpectedError, match="login"):
        retrieve(Website(server.url), uri, max_bytes=100)


@pytest.mark.parametrize("uid", ["", ".", ".."])
def test_a_uid_that_is_no_name_has_no_address(uid: str) -> None:
    """It would climb to another resource; other bad letters are quoted."""
    with pytest.raises(ValueError, match="empty name"):
        dicomweb_uri("1", "2", uid)
    assert dicomweb_uri("1/2", "a b", "\u00e9?") == "studies/1%2F2/series/a%20b/instances/%C3%A9%3F"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificate and key of 127.0.0.1 in one file, signed by itself."""
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


def test_only_trusted_servers_are_asked_and_we_show_our_certificate(certificate: Path) -> None:
    """With its authority in `ca` a server may demand one of ours."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(certificate)
    with running_web_server(lambda _: Reply(body=[b"1"]), tls=context) as server:
        assert Website(server.url, tls=_tls(ca=certificate, certificate=certificate)).json("x") == 1
        with pytest.raises(RefusedError, match="certificate"):
            Website(server.url).json("x")
    with pytest.raises(RefusedError, match="cannot be read"):
        Website("https://127.0.0.1", tls=_tls(ca=certificate.with_name("none.pem")))
