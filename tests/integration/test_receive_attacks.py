"""Slow, silent and greedy clients cannot keep others out of the C-STORE receiver, and are counted."""

import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from association_requests import ACCEPT, LONG_ENOUGH, REJECT, association_request, response_to, trickle
from compose_processes import wait_until
from cstore_receiver import RunningReceiver, refused_callers, running_receiver
from databases import NewSqlite
from dicom_peers import echoscu
from pynetdicom.dul import DULServiceProvider

from db.engine import Database

pytestmark = pytest.mark.servers

CALLED, CALLING = b"NIGHTREAD".ljust(16), b"CT1".ljust(16)
REQUEST = association_request(CALLED, CALLING)
HALF_A_REQUEST = b"\x01\x00" + (1024**2).to_bytes(4) + REQUEST[6:80]
"""It announces 1 MiB, and the rest never comes."""


@pytest.fixture
def sqlite(tmp_path: Path, new_sqlite: NewSqlite) -> Iterator[Database]:
    """One kind of database is enough for tests of the network side."""
    with new_sqlite(tmp_path / "nightread.sqlite3", durable=True) as database:
        yield database


@pytest.mark.parametrize("first", [b"", b"\x01", HALF_A_REQUEST, b"\x04\x00\x00\x10\x00\x00"])
def test_a_crowd_of_slow_clients_keeps_no_caller_out(tmp_path: Path, sqlite: Database, first: bytes) -> None:
    """80 connections hold half a request each. The oldest of them give way to a caller from the same address."""
    with running_receiver(tmp_path, sqlite) as receiver, ExitStack() as stack:
        for _ in range(80):
            stack.enter_context(_connected(receiver)).sendall(first)
        assert [echoscu(receiver.port).returncode for _ in range(6)] == [0] * 6
        _wait_for_rejected(receiver, 80 + 1 - 48)  # twice the 24 associations that one address may have; 1 gave way


def test_clients_that_connect_and_disconnect_leave_no_connection(tmp_path: Path, sqlite: Database) -> None:
    """A port scanner does this. With one association there is room for two connections."""
    with running_receiver(tmp_path, sqlite, associations=1) as receiver:
        for data in (b"", b"\x01", REQUEST[:30], b"GET / HTTP/1.1\r\n\r\n") * 5:
            with _connected(receiver) as scanner:
                scanner.sendall(data)
        wait_until(lambda: echoscu(receiver.port).returncode == 0, seconds=5, what="an echo is answered")


def test_a_request_that_trickles_ends_at_its_deadline(tmp_path: Path, sqlite: Database) -> None:
    """The time counts from the connection, however often another byte comes. It is counted as too slow."""
    with running_receiver(tmp_path, sqlite, idle_seconds=1) as receiver, _connected(receiver) as slow:
        slow.sendall(REQUEST[:40])
        assert trickle(slow) < LONG_ENOUGH
        assert refused_callers(receiver) == [("", "127.0.0.1", {"too_slow": 1})]


def test_a_pdu_that_trickles_ends_its_association(tmp_path: Path, sqlite: Database) -> None:
    """The association was accepted; then a P-DATA PDU of 16 KiB comes byte by byte."""
    with running_receiver(tmp_path, sqlite, idle_seconds=1) as receiver, _connected(receiver) as slow:
        slow.sendall(REQUEST)
        assert slow.recv(1) == bytes([ACCEPT])
        slow.sendall(b"\x04\x00" + (16384).to_bytes(4))
        assert trickle(slow) < LONG_ENOUGH
        assert refused_callers(receiver) == [("CT1", "127.0.0.1", {"too_slow": 1})]


def test_an_image_that_never_ends_ends_its_association(tmp_path: Path, sqlite: Database) -> None:
    """Each PDU is complete and arrives in time, but the message does not end."""
    fragment = b"\x01\x01" + bytes(8)  # of a command set, not the last
    item = struct.pack(">I", len(fragment)) + fragment
    pdu = b"\x04\x00" + len(item).to_bytes(4) + item
    with running_receiver(tmp_path, sqlite, image_seconds=1) as receiver, _connected(receiver) as slow:
        slow.sendall(REQUEST)
        assert slow.recv(1) == bytes([ACCEPT])
        assert trickle(slow, pdu) < LONG_ENOUGH
        assert refused_callers(receiver) == [("CT1", "127.0.0.1", {"too_slow": 1})]


def test_one_address_cannot_take_all_associations(tmp_path: Path, sqlite: Database) -> None:
    """Of 4 associations, one address may have 3. The rejection is transient, and another address is served."""
    with running_receiver(tmp_path, sqlite, associations=4) as receiver, ExitStack() as stack:
        for _ in range(3):
            one = stack.enter_context(_connected(receiver))
            one.sendall(REQUEST)
            assert one.recv(1) == bytes([ACCEPT])
        response = response_to(receiver.port, REQUEST)
        assert (response[0], response[7:10]) == (REJECT, b"\x02\x03\x02")
        assert _is_accepted_from_127_0_0_2(receiver)


def test_addresses_that_may_not_send_hold_few_connections(tmp_path: Path, sqlite: Database) -> None:
    """Only 127.0.0.2 may send. Of ten connections from elsewhere four stay, until their time is over."""
    callers = [{"address": "127.0.0.2"}]
    with running_receiver(tmp_path, sqlite, callers=callers, associations=8) as receiver, ExitStack() as stack:
        strangers = [stack.enter_context(_connected(receiver)) for _ in range(10)]
        assert _is_accepted_from_127_0_0_2(receiver)
        assert [stranger.recv(1) for stranger in strangers] == [b""] * 10
        _wait_for_rejected(receiver, 6)


@pytest.mark.parametrize(
    ("request_pdu", "callers"),
    [
        (association_request(CALLED, CALLING, contexts=129), []),
        (association_request(CALLED, CALLING, contexts=10_000), []),
        (association_request(CALLED, CALLING, contexts=128, syntaxes=80), []),
        (association_request(CALLED, CALLING, items=b"\x99\x00\x00\x00" * 9000), []),
        (association_request(CALLED, CALLING, contexts=128), [{"ae_title": "MR1"}]),
    ],
    ids=["129 contexts", "10,000 contexts", "many syntaxes", "many items", "a stranger"],
)
def test_an_excessive_request_is_rejected_before_it_is_decoded(
    tmp_path: Path,
    sqlite: Database,
    monkeypatch: pytest.MonkeyPatch,
    request_pdu: bytes,
    callers: list[dict[str, str]],
) -> None:
    """The same holds for a request of a caller who may not send. Its sender gets a rejection, and is counted."""
    decoded: list[int] = []
    decode = DULServiceProvider._decode_pdu

    def note(dul: DULServiceProvider, pdu: bytearray) -> object:
        decoded.append(len(pdu))
        return decode(dul, pdu)

    monkeypatch.setattr(DULServiceProvider, "_decode_pdu", note)
    with running_receiver(tmp_path, sqlite, callers=callers) as receiver:
        assert response_to(receiver.port, request_pdu)[0] == REJECT
        assert decoded[0] < 300
        assert refused_callers(receiver) == [("CT1", "127.0.0.1", {"rejected": 1})]


def test_as_many_contexts_as_the_standard_permits_are_accepted(tmp_path: Path, sqlite: Database) -> None:
    """128 contexts with 30 transfer syntaxes each, as a gateway proposes them."""
    with running_receiver(tmp_path, sqlite) as receiver:
        request = association_request(CALLED, CALLING, contexts=128, syntaxes=30)
        assert response_to(receiver.port, request)[0] == ACCEPT


def _connected(receiver: RunningReceiver) -> socket.socket:
    return socket.create_connection(("127.0.0.1", receiver.port), 20)


def _is_accepted_from_127_0_0_2(receiver: RunningReceiver) -> bool:
    with socket.create_connection(("127.0.0.1", receiver.port), 20, source_address=("127.0.0.2", 0)) as caller:
        caller.sendall(REQUEST)
        return caller.recv(1) == bytes([ACCEPT])


def _wait_for_rejected(receiver: RunningReceiver, number: int) -> None:
    def is_counted() -> bool:
        rejected: int = sum(one.statuses.get("rejected", 0) for one in receiver.associations)
        return rejected >= number

    wait_until(is_counted, seconds=20, what=f"{number} connections are counted as rejected")
