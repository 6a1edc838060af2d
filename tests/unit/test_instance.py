"""An instance is retrieved whole from stores that write multipart messages and handle `Accept` differently."""

import gzip
from collections.abc import Callable

import pytest
from web_server import Reply, Request, running_web_server

from nightread.instance import dicomweb_uri, retrieve
from nightread.web import HttpClient, TooMuchError, UnavailableError, UnexpectedError

URI = dicomweb_uri("1", "2", "3")
SCAN = b"\x00DICM\r\n\r\nmore\n\nbytes\r"
"""A content with line ends of all kinds; the last byte is a carriage return."""
HEADER = b"Content-Type: application/dicom"
RELATED = 'multipart/related; type="application/dicom"; boundary='
WILDCARD = RELATED.removesuffix("; boundary=") + "; transfer-syntax=*"
PLAIN = RELATED.removesuffix("; boundary=")

MESSAGES = {
    "by the standard": (f'{RELATED}"b1"', b"--b1\r\n" + HEADER + b"\r\n\r\n" + SCAN + b"\r\n--b1--\r\n"),
    "bare line feeds": (f"{RELATED}b1", b"--b1\n" + HEADER + b"\n\n" + SCAN + b"\n--b1--\n"),
    "boundary with spaces": (f'{RELATED}"D D"', b"--D D\r\n" + HEADER + b"\r\n\r\n" + SCAN + b"\r\n--D D--"),
    "spaces around the equals sign": (
        "multipart/related; Boundary = b1",
        b"--b1\r\n" + HEADER + b"\r\n\r\n" + SCAN + b"\r\n--b1--",
    ),
    "preamble": (
        f"{RELATED}b1;x=y",
        b"some --b1 text\r\n\r\nmore\r\n--b1\r\ncontent-length: 99\r\n"
        + HEADER
        + b"\r\n\r\n"
        + SCAN
        + b"\r\n--b1--\r\n",
    ),
    "empty line first": (f"{RELATED}b1", b"\r\n--b1\r\n" + HEADER + b"\r\n\r\n" + SCAN + b"\r\n--b1--"),
    "last boundary without its dashes": (f"{RELATED}b1", b"--b1\r\n" + HEADER + b"\r\n\r\n" + SCAN + b"\r\n--b1"),
    "no line end before the last boundary": (f"{RELATED}b1", b"--b1\r\n" + HEADER + b"\r\n\r\n" + SCAN + b"--b1--"),
    "no headers": (f"{RELATED}b1", b"--b1\r\n\r\n" + SCAN + b"\r\n--b1--"),
    "two parts": (
        f"{RELATED}b1",
        b"--b1\r\n" + HEADER + b"\r\n\r\n" + SCAN + b"\r\n--b1\r\n" + HEADER + b"\r\n\r\nsecond\r\n--b1--",
    ),
    "multipart without a media type": ("", b"--b1\r\n" + HEADER + b"\r\n\r\n" + SCAN + b"\r\n--b1--\r\n"),
    "multipart called a file": ("application/dicom", b"\r\n--b1\r\n" + HEADER + b"\r\n\r\n" + SCAN + b"\r\n--b1--"),
    "no boundary in the media type": (PLAIN, b"--b1\r\n" + HEADER + b"\r\n\r\n" + SCAN + b"\r\n--b1--"),
    "another boundary in the media type": (f"{RELATED}b2", b"--b1\r\n" + HEADER + b"\r\n\r\n" + SCAN + b"\r\n--b1--"),
    "the dashes in the media type": (f"{RELATED}--b1", b"--b1\r\n" + HEADER + b"\r\n\r\n" + SCAN + b"\r\n--b1--"),
    "single quotes": (f"{RELATED}'b1'", b"--b1\r\n" + HEADER + b"\r\n\r\n" + SCAN + b"\r\n--b1--"),
    "no multipart": ("application/dicom", SCAN),
    "no media type": ("", SCAN),
}


@pytest.mark.parametrize("name", MESSAGES)
@pytest.mark.parametrize("is_compressed", [False, True])
def test_the_content_is_returned_to_the_byte(name: str, is_compressed: bool) -> None:
    """Also if the response is compressed, which was not asked for."""
    media_type, body = MESSAGES[name]
    headers = {"Content-Type": media_type} if media_type else {}
    if is_compressed:
        headers, body = headers | {"Content-Encoding": "gzip"}, gzip.compress(body)
    with running_web_server(lambda _: Reply(headers=headers, body=[body])) as server:
        assert retrieve(HttpClient(server.url), URI, max_bytes=1000) == SCAN


@pytest.mark.parametrize("preamble", [b"", b"--b1\r\n", b"<html>", b"{"])
def test_a_preamble_of_any_bytes_is_no_other_format(preamble: bytes) -> None:
    """The preamble of a DICOM file has 128 bytes, before `DICM` (DICOM PS3.10, section 7.1)."""
    file = preamble.ljust(128, b"\0") + b"DICM" + SCAN
    with running_web_server(lambda _: Reply(headers={"Content-Type": "application/dicom"}, body=[file])) as server:
        assert retrieve(HttpClient(server.url), URI, max_bytes=1000) == file


@pytest.mark.parametrize(
    ("media_type", "body", "message"),
    [
        ("", b"<!DOCTYPE html><html>Log in</html>", "sent a web page"),
        ("application/xhtml+xml", b"<html/>", "sent a web page"),
        ("application/dicom+json", b'{"error": "busy"}', "sent a web page"),
        ("application/dicom", b"", "sent an empty response"),
        (f"{RELATED}b1", b"--b1\r\nContent-Type: text/html\r\n\r\n<html/>\r\n--b1--", "first part is no image"),
        (
            f"{RELATED}b1",
            b"--b1\r\n" + HEADER + b"\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b1--",
            "in an encoding that was not requested",
        ),
    ],
)
def test_what_is_no_image_is_a_fault_of_the_store(media_type: str, body: bytes, message: str) -> None:
    """The image must not be rejected for it, so that it is requested again."""
    headers = {"Content-Type": media_type} if media_type else {}
    answer = Reply(headers=headers, body=[body])
    with running_web_server(lambda _: answer) as server, pytest.raises(UnexpectedError, match=message):
        retrieve(HttpClient(server.url), URI, max_bytes=1000)


def test_the_size_limit_is_that_of_the_unpacked_content() -> None:
    """A small response may unpack to a large one."""
    body = gzip.compress(bytes(10_000_000))
    headers = {"Content-Type": "application/dicom", "Content-Encoding": "gzip"}
    with running_web_server(lambda _: Reply(headers=headers, body=[body])) as server, pytest.raises(TooMuchError):
        retrieve(HttpClient(server.url), URI, max_bytes=1000)


def refusing(status: int, does_refuse: Callable[[str], bool]) -> Callable[[Request], Reply]:
    """Return a server that refuses some values of `Accept` and else sends the scan."""

    def answer(asked: Request) -> Reply:
        if does_refuse(asked.headers["Accept"]):
            return Reply(status=status)
        return Reply(headers={"Content-Type": "application/dicom"}, body=[SCAN])

    return answer


@pytest.mark.parametrize(("status", "requests"), [(406, 3), (400, 3), (415, 3), (500, 4), (501, 4)])
def test_a_store_that_refuses_the_wildcard_is_asked_without_it(status: int, requests: int) -> None:
    """The refusal is remembered, except for status 500, which may have had another cause."""
    with running_web_server(refusing(status, lambda accept: "*" in accept)) as server:
        client = HttpClient(server.url)
        assert [retrieve(client, URI, max_bytes=1000) for _ in range(2)] == [SCAN] * 2
    assert len(server.asked) == requests
    assert [asked.headers["Accept"] for asked in server.asked[:2]] == [WILDCARD, PLAIN]


@pytest.mark.parametrize(("status", "requests"), [(406, 4), (500, 6)])
def test_a_store_without_multipart_is_asked_for_single_files(status: int, requests: int) -> None:
    """Some stores only return `application/dicom`."""
    with running_web_server(refusing(status, lambda accept: accept.startswith("multipart"))) as server:
        client = HttpClient(server.url)
        assert [retrieve(client, URI, max_bytes=1000) for _ in range(2)] == [SCAN] * 2
    assert len(server.asked) == requests


@pytest.mark.parametrize("status", [406, 400, 500])
def test_one_instance_that_is_refused_changes_nothing_for_the_others(status: int) -> None:
    """The store understands the wildcard, and refuses it for the second of three instances only."""

    def answer(asked: Request) -> Reply:
        if asked.path.endswith("/odd") and "*" in asked.headers["Accept"]:
            return Reply(status=status)
        return Reply(headers={"Content-Type": "application/dicom"}, body=[SCAN])

    with running_web_server(answer) as server:
        client = HttpClient(server.url)
        for instance in ("3", "odd", "4"):
            assert retrieve(client, dicomweb_uri("1", "2", instance), max_bytes=1000) == SCAN
    assert [asked.headers["Accept"] for asked in server.asked] == [WILDCARD, WILDCARD, PLAIN, WILDCARD]


def test_a_rejection_and_a_failure_are_not_remembered() -> None:
    """Status 406 for the wildcard is certain, and status 500 for multipart messages is not."""
    failures = {WILDCARD: 406, PLAIN: 500}

    def answer(asked: Request) -> Reply:
        status = failures.get(asked.headers["Accept"])
        return Reply(status=status) if status else Reply(headers={"Content-Type": "application/dicom"}, body=[SCAN])

    with running_web_server(answer) as server:
        client = HttpClient(server.url)
        retrieve(client, URI, max_bytes=1000)
        failures.clear()
        retrieve(client, URI, max_bytes=1000)
    assert [asked.headers["Accept"] for asked in server.asked[2:]][1:] == [WILDCARD]


def test_a_better_value_that_another_thread_used_meanwhile_is_remembered() -> None:
    """A store rejects the wildcard for one instance, while it sends another one with it."""
    with running_web_server(lambda _: Reply(headers={"Content-Type": "application/dicom"}, body=[SCAN])) as server:
        client = HttpClient(server.url)

        def meanwhile(_count: int) -> None:
            client.accept = PLAIN

        retrieve(client, URI, max_bytes=1000, on_bytes=meanwhile)
        assert client.accept == WILDCARD


@pytest.mark.parametrize(("status", "error"), [(400, UnexpectedError), (500, UnavailableError)])
def test_a_store_that_refuses_every_media_type_has_its_error(status: int, error: type[Exception]) -> None:
    """Nothing is remembered of it."""
    with running_web_server(refusing(status, lambda _: True)) as server:
        client = HttpClient(server.url)
        for _ in range(2):
            with pytest.raises(error, match=str(status)):
                retrieve(client, URI, max_bytes=1000)
    assert len(server.asked) == 6


@pytest.mark.parametrize("status", [503, 404, 429, 302, 401])
def test_other_errors_are_not_repeated(status: int) -> None:
    """A busy store, or a missing image, has nothing to do with the media type."""
    with running_web_server(refusing(status, lambda _: True)) as server, pytest.raises(Exception, match=str(status)):
        retrieve(HttpClient(server.url), URI, max_bytes=1000)
    assert len(server.asked) == 1
