"""An endless response or list of a store stays within 300 MiB, measured in a process of its own."""

import gzip
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, repeat

import pytest
import skip_reasons
from raw_server import JSON, OK, RawServer, running_raw_server

MOST_MIB = 300
ROWS = 10_000

CHILD = """
import sys
from datetime import date
from nightread.web import HttpClient, WebError
from delivery.reasons import NotDelivered
from delivery.stow import Stow, _outcome
from producer.stores.dicomweb import DicomwebFeed
from producer.stores.orthanc import OrthancFeed

def peak():  # ru_maxrss would include the process that started this one
    (line,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024

kind, url = sys.argv[1:]
client, before, trouble = HttpClient(url, timeout_seconds=20), peak(), ""
try:
    if kind == "stow":
        _outcome(client.post("studies", b"report", {}), "1.2")
    elif kind == "orthanc":
        trouble = [page.troubles for page in OrthancFeed(client).since(None)][-1]
    else:
        feed = DicomwebFeed(client, days=3, today=lambda: date(2026, 11, 21))
        trouble = feed._search.all_rows("studies", {}, ("0020000D",)).trouble
except (WebError, NotDelivered) as error:
    trouble = error
print(int(peak() - before), trouble)
"""


def endless_pages(_server: RawServer, request: str) -> Iterator[bytes]:
    """Yield a page of 10,000 new rows for each offset."""
    found = re.search(r"offset=([0-9]+)", request)
    assert found
    rows = [
        {"0020000D": {"vr": "UI", "Value": [f"1.2.826.0.1.3680043.10.{int(found[1]) + row}"]}, "00081030": {"vr": "LO"}}
        for row in range(ROWS)
    ]
    yield OK + b"Connection: close\r\n\r\n" + json.dumps(rows).encode()


def whole(make_body: Callable[[], bytes], coding: str = "") -> Callable[[RawServer, str], Iterable[bytes]]:
    """Return a response with this body, which is made when it is sent: collecting the tests makes none."""

    def answer(_server: RawServer, _request: str) -> Iterable[bytes]:
        body = make_body()
        head = f"{JSON.decode()}Content-Length: {len(body)}\r\nContent-Encoding: {coding}\r\n\r\n".encode()
        return [head, body]

    return answer


def endless(piece: bytes) -> Callable[[RawServer, str], Iterable[bytes]]:
    """Return a response without an end."""
    return lambda _server, _request: chain([JSON, b"\r\n["], repeat(piece * 10_000))


CASES: dict[str, tuple[str, Callable[[RawServer, str], Iterable[bytes]], str]] = {
    "endless pages": ("dicomweb", endless_pages, "more than 200,000 rows"),
    "endless body": ("orthanc", endless(b'{"a": 1},'), "more than 33554432 bytes"),
    "many values": ("orthanc", whole(lambda: b"[" + b"[]," * 10_000_000 + b"1]"), "more than 2,000,000 values"),
    "as many values as allowed": (
        "orthanc",
        whole(lambda: b"[" + b'{"a":1},' * 999_000 + b"1]"),
        "like an Orthanc server",
    ),
    "bomb": ("orthanc", whole(lambda: gzip.compress(b" " * 300 * 1024**2, 1), "gzip"), "more than 33554432 bytes"),
    "endless receipt": ("stow", endless(b'{"a": 1},'), "more than 1048576 bytes"),
    "receipt of many items": (
        "stow",
        whole(lambda: b'{"00081198":{"vr":"SQ","Value":[' + b"{}," * 24_000 + b"{}]}}"),
        "C000H",
    ),
}


_QUICK = ("endless body", "endless receipt")
"""Each of the others takes seconds of processor time."""


@pytest.mark.skipif(sys.platform != "linux", reason=skip_reasons.LINUX)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in _QUICK else pytest.mark.slow) for name in CASES]
)
def test_the_memory_of_a_hostile_response_is_bounded(name: str) -> None:
    """Before there were limits, endless pages took 1.6 GB and an endless receipt 3.1 GB."""
    kind, answer, trouble = CASES[name]
    with running_raw_server(answer) as server:
        command = [sys.executable, "-c", CHILD, kind, server.url]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert ended.returncode == 0, ended.stderr
    growth, said = ended.stdout.split(" ", 1)
    assert trouble in said
    assert int(growth) < MOST_MIB
    print(f"{name}: {growth} MiB")
