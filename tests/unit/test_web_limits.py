"""Whatever a server sends, a request ends: in bounded time, with bounded memory, and with an error that says why."""

import gzip
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, product, repeat

import pytest
from raw_server import CHUNKED, JSON, OK, RawServer, running_raw_server

from nightread.instance import orthanc_uri, retrieve
from nightread.web import HttpClient, TooMuchError, UnavailableError, UnexpectedError, WebError

SHORT_SECONDS = 0.1
"""The time-out of requests that run out of time, and of floods, which end at their limit or with the time."""
SECONDS = 30.0
"""The time-out of all others: a busy machine may stop a server for some seconds."""
PATIENCE_SECONDS = 20.0
"""Less than SECONDS: a request that must not run out of time has not, and no request takes for ever."""
MiB = 1024**2

Pieces = Callable[[RawServer], Iterable[bytes]]


def error_of(pieces: Pieces, request: Callable[[HttpClient], object], seconds: float = SECONDS) -> WebError:
    """Return the error of a request to a server that sends these pieces; it must come soon."""
    began = time.monotonic()
    with running_raw_server(lambda server, _request: pieces(server)) as server:
        client = HttpClient(server.url, timeout_seconds=seconds)
        with pytest.raises(WebError) as raised:
            request(client)
        client.close()
        assert time.monotonic() - began < PATIENCE_SECONDS
    return raised.value


def read(client: HttpClient) -> object:
    return client.json("studies")


def post(client: HttpClient) -> object:
    return client.post("studies", b"report", {})


def fetch(client: HttpClient) -> object:
    return retrieve(client, orthanc_uri("a"), max_bytes=MiB)


def after(head: bytes, *pieces: bytes) -> Pieces:
    """Send the head at once, and then the pieces again and again with pauses."""
    return lambda server: chain([head], server.trickle(*pieces))


TRICKLES: dict[str, Pieces] = {
    "status line": after(b"", b"H"),
    "header": after(OK, b"X"),
    "headers": after(OK, b"X: 1\r\n"),
    "interim responses": after(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body": after(JSON + b"\r\n", b" "),
    "body of known length": after(JSON + b"Content-Length: 9000\r\n\r\n", b" "),
    "chunks": after(CHUNKED, b"1\r\n \r\n"),
    "chunk size": after(CHUNKED, b"0"),
    "chunk extension": after(CHUNKED + b"1;", b"x"),
    "trailer": after(CHUNKED + b"0\r\n", b"X: 1\r\n"),
    "gzip header": after(JSON + b"Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x08" + bytes(6), b"n"),
    "empty compressed blocks": after(JSON + b"Content-Encoding: deflate\r\n\r\n", b"\x00\x00\x00\xff\xff"),
}


@pytest.mark.parametrize(
    ("name", "request_"), [*product(TRICKLES, [read]), *product(["headers", "body", "trailer"], [post, fetch])]
)
def test_a_trickle_does_not_extend_the_time(name: str, request_: Callable[[HttpClient], object]) -> None:
    """One byte every 20 ms is in time each time; the response as a whole is not."""
    error = error_of(TRICKLES[name], request_, SHORT_SECONDS)
    assert isinstance(error, UnavailableError)
    assert "within 0.1 s" in str(error) or "less than 65536 bytes per second" in str(error)


FLOOD = b"x" * 65536
FLOODS: dict[str, Pieces] = {
    "status line": lambda _: repeat(FLOOD),
    "header line": lambda _: chain([OK, b"X: "], repeat(FLOOD)),
    "headers": lambda _: chain([OK], repeat(b"X: 1\r\n" * 1000)),
    "long headers": lambda _: chain([OK], repeat(b"X: " + b"y" * 60_000 + b"\r\n")),
    "interim responses": lambda _: repeat(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "interim responses with headers": lambda _: repeat(b"HTTP/1.1 100 Continue\r\nX: 1\r\nY: 2\r\n\r\n" * 1000),
    "body": lambda _: chain([JSON + b"\r\n"], repeat(FLOOD)),
    "chunk size": lambda _: chain([CHUNKED], repeat(b"0" * 65536)),
    "chunk extension": lambda _: chain([CHUNKED, b"1;"], repeat(FLOOD)),
    "one chunk": lambda _: chain([CHUNKED, b"F" * 15 + b"\r\n"], repeat(FLOOD)),
    "negative chunk": lambda _: chain([CHUNKED, b"-5\r\n"], repeat(FLOOD)),
    "trailers": lambda _: chain([CHUNKED, b"0\r\n"], repeat(b"X: 1\r\n" * 1000)),
    "empty compressed blocks": lambda _: chain(
        [JSON, b"Content-Encoding: deflate\r\n\r\n"], repeat(b"\x00\x00\x00\xff\xff" * 10_000)
    ),
    "empty gzip members": lambda _: chain(
        [JSON, b"Content-Encoding: gzip\r\n\r\n"], repeat(gzip.compress(b"", mtime=0) * 3000)
    ),
}


@pytest.mark.parametrize(
    ("name", "request_"), [*product(FLOODS, [read]), *product(["headers", "body", "trailers"], [post, fetch])]
)
def test_an_endless_response_ends_at_its_limit(name: str, request_: Callable[[HttpClient], object]) -> None:
    """Each part of a response may be the one without an end."""
    tracemalloc.start()
    try:
        error_of(FLOODS[name], request_, SHORT_SECONDS)
        assert tracemalloc.get_traced_memory()[1] < 80 * MiB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "GZIP", "deflate"])
def test_a_bomb_is_inflated_up_to_the_limit(coding: str) -> None:
    """30 MiB of spaces have 30 KB: the response of a POST may have 1 MiB."""
    bits = 15 if coding == "deflate" else 31
    compressor = zlib.compressobj(1, zlib.DEFLATED, bits)
    bomb = b"".join(compressor.compress(b" " * MiB) for _ in range(30)) + compressor.flush()
    head = JSON + f"Content-Encoding: {coding}\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
    tracemalloc.start()
    try:
        assert isinstance(error_of(lambda _: [head, bomb], post), TooMuchError)
        assert tracemalloc.get_traced_memory()[1] < 20 * MiB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("coding", ["gzip, gzip", "br", "zstd", "compress", "gzip;q=1", "deflate, identity"])
def test_other_codings_are_refused(coding: str) -> None:
    """None was requested, and several in a row multiply."""
    error = error_of(lambda _: [JSON, f"Content-Encoding: {coding}\r\n\r\n".encode(), b"[]"], read)
    assert (type(error), "Content-Encoding" in str(error)) == (UnexpectedError, True)


@pytest.mark.parametrize("length", [b"99999999999", b"9223372036854775807"])
def test_an_announced_length_beyond_the_limit_is_refused_at_once(length: bytes) -> None:
    """Nothing of the body is read."""
    error = error_of(lambda _: [JSON, b"Content-Length: " + length + b"\r\n\r\n"], fetch)
    assert isinstance(error, TooMuchError)


@pytest.mark.parametrize("length", [b"-5", b"1e999", b"many", b"9" * 5000, b"", b"2, 2"])
def test_a_length_that_is_no_number_is_ignored(length: bytes) -> None:
    """The body then ends where the connection ends."""
    with running_raw_server(lambda _server, _request: [JSON, b"Content-Length: " + length + b"\r\n\r\n[]"]) as server:
        assert HttpClient(server.url, timeout_seconds=SECONDS).json("studies") == []


@pytest.mark.parametrize(
    "sent",
    [
        JSON + b"Content-Length: 2, 3\r\n\r\n[]",
        JSON + b"Content-Length: 3\r\n\r\n[]",
        JSON + b"Content-Length: 1\r\n\r\n[]",
        CHUNKED + b"2\r\n[]",
        CHUNKED + b"2\r\n[",
        CHUNKED + b"G\r\n[]",
        b"HTTP/9 200 OK\r\n\r\n",
        b"HTTP/1.1 99999 OK\r\n\r\n",
        b"HTTP/1.1 200",
        b"\r\n\r\n",
        b"",
        b"HTTP/1.1 103 Early Hints\r\n\r\n",
        JSON + b"Content-Encoding: gzip\r\n\r\n[]",
        JSON + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"[]", mtime=0)[:-3],
        JSON + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"[", mtime=0) + gzip.compress(b"]", mtime=0)[:-9],
        JSON + b"Content-Encoding: deflate\r\n\r\n\x78",
    ],
)
def test_a_response_that_is_cut_short_or_wrong_is_an_error(sent: bytes) -> None:
    """No exception of a library leaves the client, and no part of a response passes for the whole."""
    assert str(error_of(lambda _: [sent], read))


@pytest.mark.parametrize(
    ("coding", "content"),
    [
        ("gzip", gzip.compress(b"[1]", mtime=0)),
        ("gzip", gzip.compress(b"[1", mtime=0) + gzip.compress(b"", mtime=0) + gzip.compress(b"]", mtime=0)),
        ("gzip", gzip.compress(b"[1]", mtime=0) + b"what follows is ignored"),
        ("deflate", zlib.compress(b"[1]")),
        ("deflate", zlib.compress(b"[1]") + b"x"),
        ("deflate", zlib.compressobj(wbits=-15).flush(zlib.Z_NO_FLUSH) + b"\x01\x03\x00\xfc\xff[1]"),
        ("identity", b"[1]"),
    ],
)
@pytest.mark.parametrize("piece_bytes", [1, 7, 1000])
def test_lawful_codings_are_decoded(coding: str, content: bytes, piece_bytes: int) -> None:
    """A gzip file may have several members (RFC 1952), and deflate comes with and without its header."""
    chunks = [content[at : at + piece_bytes] for at in range(0, len(content), piece_bytes)]
    framed = [f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n" for chunk in chunks] + [b"0\r\n\r\n"]
    head = f"{CHUNKED.decode()[:-2]}Content-Encoding: {coding}\r\n\r\n".encode()
    with running_raw_server(lambda _server, _request: [head, *framed]) as server:
        assert HttpClient(server.url, timeout_seconds=SECONDS).json("studies") == [1]


def test_a_large_compressed_response_is_whole() -> None:
    """It has several pieces of 1 MiB."""
    text = b"[" + b"1," * 2_000_00 + b"1]" + b" " * 3 * MiB
    content = gzip.compress(text, mtime=0)
    head = JSON + f"Content-Encoding: gzip\r\nContent-Length: {len(content)}\r\n\r\n".encode()
    with running_raw_server(lambda _server, _request: [head, content]) as server:
        assert HttpClient(server.url, timeout_seconds=SECONDS).json("studies") == [1] * 200_001


def test_an_endless_chain_of_redirects_is_one_request() -> None:
    """Redirects are not followed."""

    def redirect(server: RawServer, _request: str) -> Iterator[bytes]:
        yield f"HTTP/1.1 302 Found\r\nLocation: {server.url}/studies\r\nContent-Length: 0\r\n\r\n".encode()

    with running_raw_server(redirect) as server:
        with pytest.raises(UnexpectedError, match="redirects"):
            HttpClient(server.url, timeout_seconds=SECONDS).json("studies")
        assert server.requests == ["GET /studies"]


def test_a_garbled_response_is_not_requested_twice() -> None:
    """Only a connection that was closed is: the server may just have ended a persistent one."""
    with running_raw_server(lambda _server, _request: [OK, b"X: 1\r\n" * 200]) as server:
        with pytest.raises(UnavailableError, match="no valid HTTP response"):
            HttpClient(server.url, timeout_seconds=SECONDS).json("studies")
        assert len(server.requests) == 1
