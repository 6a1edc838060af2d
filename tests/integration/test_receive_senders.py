"""A receiver accepts what senders get wrong, refuses other callers properly, and tells who was refused."""

import logging
import socket
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest
import skip_reasons
from association_requests import ABORT, ACCEPT, REJECT, association_request, response_to
from compose_processes import wait_until
from cstore_receiver import RunningReceiver, refused_callers, running_receiver
from databases import NewSqlite
from dicom_peers import dcmtk, echoscu, storescu
from pydicom import Dataset
from pynetdicom.association import Association
from pynetdicom.sop_class import CTImageStorage, Verification  # type: ignore[attr-defined]
from store_requests import associated, store_command

from db import queries
from db.condition.source_problems import source_problems
from nightread.clock import utc_now

pytestmark = pytest.mark.servers

TITLE = b"NIGHTREAD"
CT1 = b"CT1".ljust(16)


@pytest.mark.parametrize(
    ("called", "calling"),
    [
        (TITLE.ljust(16), CT1),
        (TITLE.ljust(16, b"\0"), CT1),
        (TITLE.ljust(16), b"CT1".ljust(16, b"\0")),
        ((TITLE + b"\0").ljust(16), b"CT1\0".ljust(16)),
        ((TITLE + b"\0rest").ljust(16), CT1),
        (TITLE.ljust(16), b" " * 16),
        (TITLE.ljust(16), bytes(16)),
        (TITLE.ljust(16), "\u00c9CHO1".encode("latin-1").ljust(16)),
    ],
)
def test_titles_may_be_padded_with_nul_or_empty(receiver: RunningReceiver, called: bytes, calling: bytes) -> None:
    """Only spaces are allowed, but some senders are programs in C, and some have no title."""
    assert response_to(receiver.port, association_request(called, calling))[:1] == bytes([ACCEPT])


@pytest.mark.parametrize("called", [TITLE.lower().ljust(16), b" " * 16, bytes(16), b"NIGHTREAD2".ljust(16, b"\0")])
def test_another_called_title_is_rejected_and_counted(receiver: RunningReceiver, called: bytes) -> None:
    """Result 1, source 1, reason 7: the called AE title is not recognized (DICOM PS3.8, table 9-21)."""
    response = response_to(receiver.port, association_request(called, CT1))
    assert (response[0], response[7:10]) == (REJECT, b"\x01\x01\x07")
    assert refused_callers(receiver) == [("CT1", "127.0.0.1", {"rejected": 1})]


def test_an_empty_calling_title_matches_no_title_of_the_allow_list(tmp_path: Path, new_sqlite: NewSqlite) -> None:
    """It is compared as empty, not as the text that replaces it."""
    callers = [{"ae_title": "NO TITLE"}, {"ae_title": "CT1"}]
    with (
        new_sqlite(tmp_path / "nightread.sqlite3", durable=True) as database,
        running_receiver(tmp_path, database, callers=callers) as receiver,
    ):
        request = association_request(TITLE.ljust(16), bytes(16))
        assert response_to(receiver.port, request)[:1] == bytes([REJECT])
        padded = association_request(TITLE.ljust(16), b"CT1".ljust(16, b"\0"))
        assert response_to(receiver.port, padded)[:1] == bytes([ACCEPT])


def test_an_image_of_a_sender_without_a_title_is_received(receiver: RunningReceiver, scan: Path) -> None:
    """Its receipt has an empty title."""
    assert storescu(receiver.port, "-aet", " ", scan).returncode == 0
    wait_until(lambda: len(receiver.associations) == 1, seconds=10, what="the receipt is written")
    assert receiver.associations[0].calling_ae == ""
    assert len(receiver.files) == 1


@pytest.mark.parametrize("version", [1, 3, 0xFF01])
def test_unknown_items_and_other_versions_beside_the_first_are_ignored(receiver: RunningReceiver, version: int) -> None:
    """DICOM PS3.8, section 9.3.1: unrecognised items are skipped; table 9-11: only bit 0 of the version is tested."""
    request = association_request(TITLE.ljust(16), CT1, items=b"\x99\x00\x00\x04abcd")
    assert response_to(receiver.port, request[:6] + version.to_bytes(2) + request[8:])[:1] == bytes([ACCEPT])


@pytest.mark.parametrize(
    "request_bytes",
    [
        association_request(TITLE.ljust(16), CT1, abstract_syntax=b"\xff\xfe"),
        association_request(TITLE.ljust(16), CT1)[:80].replace(b"\x00\x00\x00\xcd", b"\x00\x00\x00\x4a", 1),
    ],
    ids=["invalid UID", "cut off"],
)
def test_an_invalid_request_is_counted_with_its_caller(
    receiver: RunningReceiver, caplog: pytest.LogCaptureFixture, request_bytes: bytes
) -> None:
    """Pynetdicom aborts it before its handlers learn the caller."""
    caplog.set_level(logging.WARNING)
    response = response_to(receiver.port, request_bytes[:2] + (len(request_bytes) - 6).to_bytes(4) + request_bytes[6:])
    assert response[:1] == bytes([ABORT])
    assert refused_callers(receiver) == [("CT1", "127.0.0.1", {"aborted": 1})]
    (record,) = [one for one in caplog.records if "refused or broke off" in one.getMessage()]
    assert (record.__dict__["calling_ae"], record.__dict__["address"]) == ("CT1", "127.0.0.1")


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"\x04" + bytes(9), b"\x01\x00\x00"])
def test_other_bytes_are_counted_by_their_address(receiver: RunningReceiver, data: bytes) -> None:
    """Another program talks to the port, or a sender breaks off in its request."""
    with socket.create_connection(("127.0.0.1", receiver.port), 5) as peer:
        peer.sendall(data)
        peer.shutdown(socket.SHUT_WR)
        peer.settimeout(20)
        while peer.recv(1000):
            pass
    ((calling_ae, address, statuses),) = refused_callers(receiver)
    assert (calling_ae, address, sum(statuses.values())) == ("", "127.0.0.1", 1)


def test_a_connection_without_any_byte_is_not_counted(receiver: RunningReceiver, scan: Path) -> None:
    """A load balancer checks the port in this way."""
    socket.create_connection(("127.0.0.1", receiver.port), 5).close()
    assert storescu(receiver.port, "-aet", "CT1", scan).returncode == 0
    wait_until(lambda: len(receiver.associations) == 1, seconds=10, what="the receipt is written")
    assert receiver.associations[0].calling_ae == "CT1"


def test_an_echo_has_no_receipt(receiver: RunningReceiver, scan: Path) -> None:
    """It is an orderly association without images."""
    assert echoscu(receiver.port, "-aet", "CT1").returncode == 0
    assert storescu(receiver.port, "-aet", "CT2", scan).returncode == 0
    wait_until(lambda: len(receiver.associations) == 1, seconds=10, what="the receipt is written")
    assert receiver.associations[0].calling_ae == "CT2"


@pytest.mark.parametrize("requests", [1, 3])
@pytest.mark.parametrize("ends", ["abort", "close"])
def test_a_monitor_that_breaks_off_after_its_echo_is_not_counted(
    receiver: RunningReceiver, scan: Path, caplog: pytest.LogCaptureFixture, ends: str, requests: int
) -> None:
    """Nothing was lost: there is neither a warning, nor a receipt, nor a problem in `status`."""
    caplog.set_level(logging.WARNING, "producer")
    association = associated(receiver.port, Verification)
    for _ in range(requests):
        assert association.send_c_echo().Status == 0x0000
        # Otherwise its other thread may take the next response (pynetdicom 3.0.4).
        wait_until(lambda: not association._is_paused, seconds=5, what="the association is idle")
    _break_off(association, ends)
    assert storescu(receiver.port, "-aet", "CT1", scan).returncode == 0
    wait_until(lambda: len(receiver.associations) == 1, seconds=10, what="the receipt is written")
    assert receiver.associations[0].calling_ae == "CT1"
    assert caplog.messages == []


@pytest.mark.parametrize("ends", ["abort", "close"])
def test_a_caller_that_breaks_off_without_an_echo_is_counted(receiver: RunningReceiver, ends: str) -> None:
    """It asked for nothing."""
    _break_off(associated(receiver.port, Verification), ends)
    ((calling_ae, _, statuses),) = refused_callers(receiver)
    assert (calling_ae, sum(statuses.values())) == ("PYNETDICOM", 1)


def test_a_caller_that_aborts_after_other_requests_is_counted(receiver: RunningReceiver) -> None:
    """After its echo it sends the command of an image, but no part of the image."""
    association = associated(receiver.port, CTImageStorage, Verification)
    assert association.send_c_echo().Status == 0x0000
    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, "1.2.3"
    association.dul.send_pdu(store_command(image))
    _break_off(association, "abort")
    assert refused_callers(receiver) == [("PYNETDICOM", "127.0.0.1", {"aborted": 1})]


def _break_off(association: Association, ends: str) -> None:
    if ends == "abort":
        association.abort()
        return
    connection = association.dul.socket
    assert connection is not None
    own = cast("socket.socket", connection.socket)
    own.shutdown(socket.SHUT_RDWR)
    association.join(10)  # its thread still reads from the socket
    own.close()


@pytest.mark.parametrize(
    ("program", "options"),
    [
        ("findscu", ["-S", "-k", "0008,0052=STUDY", "-k", "0020,000D="]),
        ("movescu", ["-S", "-aem", "THERE", "-k", "0008,0052=STUDY", "-k", "0020,000D=1.2"]),
        ("getscu", ["-S", "-k", "0008,0052=STUDY", "-k", "0020,000D=1.2"]),
    ],
)
def test_queries_of_dcmtk_are_refused(receiver: RunningReceiver, scan: Path, program: str, options: list[str]) -> None:
    """The presentation contexts are rejected, and the sender learns it at once."""
    asked = dcmtk(program, "-v", "-aet", "PACS", "-aec", "NIGHTREAD", *options, port=receiver.port)
    assert asked.returncode != 0
    assert "Presentation Contexts" in asked.stdout + asked.stderr
    assert storescu(receiver.port, scan).returncode == 0


def test_a_caller_whose_services_are_all_unsupported_is_counted(receiver: RunningReceiver) -> None:
    """It opens an association in which it can do nothing."""
    dcmtk("findscu", "-aet", "PACS", "-aec", "NIGHTREAD", "-S", "-k", "0008,0052=STUDY", port=receiver.port)
    assert refused_callers(receiver) == [("PACS", "127.0.0.1", {"unsupported": 1})]


def test_status_shows_who_was_refused(receiver: RunningReceiver) -> None:
    """It is shown at once, for an hour."""
    response_to(receiver.port, association_request(b"OTHER".ljust(16), CT1))
    response_to(receiver.port, association_request(b"OTHER".ljust(16), b"MR1".ljust(16)))

    def problems() -> list[str]:
        (source,) = queries.sources(receiver.database)
        return list(source_problems(source, utc_now()))

    wait_until(lambda: bool(problems()), seconds=10, what="status shows a problem")
    (problem,) = problems()
    assert "brought no image in the last hour (rejected " in problem
    assert problem.endswith("at 127.0.0.1: see `nightread receipts --each`")


def test_the_requests_of_the_generator_are_accepted(receiver: RunningReceiver) -> None:
    """../shared/cases/ae_title_padding.py prints the type of the response to each of its requests."""
    script = skip_reasons.SHARED_CASES / "ae_title_padding.py"
    if not script.is_file():
        pytest.skip(skip_reasons.NO_SHARED_CASES)
    command = [sys.executable, str(script), str(receiver.port), "NIGHTREAD"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    types = {line.partition("->")[0].strip(): line.split("PDU type ")[1].split()[0] for line in printed.splitlines()}
    assert types.pop("called in lower case") == "03"
    assert len(types) == 6
    assert set(types.values()) == {"02"}
