"""Attack a receiver on loopback as strangers: each kind has an address of its own, and a bounded pace."""

import random
import struct
import threading
import time
from collections.abc import Callable, Mapping
from functools import cache, partial
from io import BytesIO
from typing import NamedTuple

from benchmarks.traffic.wire import Line, reset

CALLED, CALLING = b"NIGHTREAD".ljust(16), b"CT1".ljust(16)
_CT = b"1.2.840.10008.5.1.4.1.1.1.1"
_FRAGMENT = 60_000
_ENDLESS_SECONDS, _BREATH_SECONDS = 40.0, 0.003
"""Longest time and pause between fragments of an endless image. After its A-ABORT the receiver reads for up to 10 s
more, as DICOM PS3.8 demands (state 13)."""
_ABORT = b"\x07\x00\x00\x00\x00\x04\x00\x00\x00\x00"
_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
"""The beginning of a TLS ClientHello, which announces 512 bytes."""


class Attack(NamedTuple):
    """What one kind of stranger does repeatedly, and from which address."""

    address: str
    act: Callable[[Line], None]
    pause: float
    is_listed: bool = False
    """Whether the receiver allows its address, as if a scanner had malware."""
    with_tls: bool = False
    is_exact: bool = False
    """Whether each of its connections must be counted as refused, no more and no fewer."""


class Counts(NamedTuple):
    """What the strangers of one kind did, and what the receiver did to them."""

    address: str
    opened: int
    ended: int
    not_ended: int
    longest: float
    rounds: int
    is_exact: bool


@cache
def _request(calling: bytes = CALLING, called: bytes = CALLED, contexts: int = 1) -> bytes:
    from association_requests import association_request

    return bytes(association_request(called, calling, abstract_syntax=_CT, contexts=contexts))


def _slow_bytes(line: Line) -> None:
    """Announce a PDU of 1 MiB, and send one byte every half second."""
    head = b"\x01\x00" + (1024**2).to_bytes(4)
    line.hold(line.crowd(16, head), seconds=20, feed=b"\0", pace=0.5)


def _slow_pdu(line: Line) -> None:
    """Open associations, and then send a P-DATA PDU of 16 KiB byte by byte."""
    line.hold(line.crowd(4, _request() + b"\x04\x00" + (16384).to_bytes(4)), seconds=40, feed=b"\0", pace=0.5)


def _huge_request(line: Line) -> None:
    """Request an association with 9,000 presentation contexts, 0.9 MB."""
    connection = line.open(_request(contexts=9000))
    if connection is not None and not line.wait_for_end(connection):
        line.not_ended += 1


def _idle_associations(line: Line) -> None:
    line.hold(line.crowd(10, _request()), seconds=30)


def _endless_image(line: Line) -> None:
    """Send a data set without end, until the receiver ends the connection."""
    connection = line.open(_request())
    if connection is None:
        return
    fragment, deadline = _pdu(b"\x00" + bytes(_FRAGMENT)), time.monotonic() + _ENDLESS_SECONDS
    try:
        connection.recv(1)
        connection.sendall(_pdu(_store_command()))
        while time.monotonic() < deadline and not line.stop.wait(_BREATH_SECONDS):
            connection.sendall(fragment)
        line.not_ended += not line.stop.is_set()
    except OSError:
        line.ended += 1
    connection.close()


def _wrong_title(line: Line, title: bytes = b"SOMEBODY") -> None:
    connection = line.open(_request(called=title.ljust(16)))
    if connection is not None and not line.wait_for_end(connection):
        line.not_ended += 1


def _garbage(line: Line, rng: random.Random) -> None:
    """Send bytes that no DICOM program sends: HTTP, random bytes, unknown PDUs, or PDUs out of order."""
    noise = rng.choice(
        (
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            rng.randbytes(300),
            b"\x09\x00\x00\x00\x00\x04abcd",
            b"\x04\x00\x00\x00\x00\x06\x00\x00\x00\x02\x01\x03",
        )
    )
    connection = line.open(noise)
    if connection is not None:
        line.hold([connection], seconds=20)


def _many_connections(line: Line) -> None:
    """Open 80 connections at once, and send one byte on each."""
    line.hold(line.crowd(80, b"\x01"), seconds=20)


def _silent(line: Line) -> None:
    """Connect and send nothing."""
    began = time.monotonic()
    connection = line.open()
    if connection is None:
        return
    if line.wait_for_end(connection):
        line.longest = max(line.longest, time.monotonic() - began)
        line.ended -= 1  # a connection without any byte is not counted as refused
    else:
        line.not_ended += 1


def _early_abort(line: Line, rng: random.Random) -> None:
    """End the connection at a random point: in the request, after the request, in an image, or after an A-ABORT."""
    request = _request()
    whole = request + _pdu(_store_command()) + _pdu(b"\x00" + bytes(1000)) + _ABORT
    connection = line.open(whole[: rng.choice((1, len(request) // 2, len(request), len(whole) - 500, len(whole)))])
    if connection is not None:
        reset(connection) if rng.random() < 0.5 else connection.close()


def _half_handshake(line: Line) -> None:
    line.hold(line.crowd(8, _HELLO), seconds=20, feed=b"\0", pace=1.0)


@cache
def _store_command() -> bytes:
    from dicom_files import phantom
    from pydicom import dcmread
    from store_requests import store_command

    (value,) = store_command(dcmread(BytesIO(phantom(1)))).presentation_data_value_list
    return bytes(value[1])


def _pdu(value: bytes) -> bytes:
    item = struct.pack(">IB", len(value) + 1, 1) + value
    return b"\x04\x00" + struct.pack(">I", len(item)) + item


def attacks(seed: int = 1) -> Mapping[str, Attack]:
    """Return one attack of each kind by name."""
    return {
        "slow bytes": Attack("127.0.0.20", _slow_bytes, 0.5),
        "slow bytes of a caller": Attack("127.0.0.21", _slow_bytes, 0.5, is_listed=True),
        "slow PDU of a caller": Attack("127.0.0.22", _slow_pdu, 0.5, is_listed=True),
        "huge requests": Attack("127.0.0.23", _huge_request, 0.5, is_exact=True),
        "huge requests of a caller": Attack("127.0.0.24", _huge_request, 0.5, is_listed=True, is_exact=True),
        "idle associations of a caller": Attack("127.0.0.25", _idle_associations, 1.0, is_listed=True),
        "endless images of a caller": Attack("127.0.0.26", _endless_image, 2.0, is_listed=True),
        "wrong AE title": Attack("127.0.0.27", _wrong_title, 0.2, is_listed=True, is_exact=True),
        "garbage": Attack("127.0.0.28", partial(_garbage, rng=random.Random(seed)), 0.2),
        "many connections": Attack("127.0.0.29", _many_connections, 1.0),
        "many connections of a caller": Attack("127.0.0.30", _many_connections, 1.0, is_listed=True),
        "silent connections": Attack("127.0.0.31", _silent, 0.2, is_listed=True),
        "early aborts": Attack("127.0.0.32", partial(_early_abort, rng=random.Random(seed)), 0.2, is_listed=True),
        "half TLS handshakes": Attack("127.0.0.33", _half_handshake, 0.5, is_listed=True, with_tls=True),
    }


def attack(kinds: Mapping[str, Attack], port: int, tls_port: int | None, stop: threading.Event) -> dict[str, Counts]:
    """Attack until `stop` is set, with one thread for each kind. Return the counts by kind."""
    lines = {
        name: Line(address=kind.address, port=tls_port if kind.with_tls and tls_port else port, stop=stop)
        for name, kind in kinds.items()
        if tls_port or not kind.with_tls
    }
    rounds = dict.fromkeys(lines, 0)

    def go_on(name: str) -> None:
        while not stop.is_set():
            kinds[name].act(lines[name])
            rounds[name] += 1
            stop.wait(kinds[name].pause)

    threads = [threading.Thread(target=go_on, args=(name,), daemon=True) for name in lines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {
        name: Counts(
            line.address, line.opened, line.ended, line.not_ended, line.longest, rounds[name], kinds[name].is_exact
        )
        for name, line in lines.items()
    }
