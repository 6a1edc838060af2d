"""The C-STORE receiver refuses callers, images and messages with the right status."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from compose_processes import wait_until
from cstore_receiver import RunningReceiver, refused_callers, running_receiver, write_copies
from databases import NewSqlite
from dicom_peers import echoscu, free_port, storescu
from postgres_stopped import stopped
from pydicom import dcmread
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import P_DATA
from servers import PostgresServer
from small_disk import full, small_disk
from store_requests import fragments

from db.engine import Database
from nightread.errors import UsageFault
from producer.cstore.allow_list import AllowList

pytestmark = pytest.mark.servers

HUGE_RESERVE = 1 << 60
_UNACKNOWLEDGED_IMAGES = 200
"""Number of images sent without waiting for a response."""


@pytest.fixture
def sqlite(tmp_path: Path, new_sqlite: NewSqlite) -> Iterator[Database]:
    """One kind of database is enough for tests of the network side."""
    with new_sqlite(tmp_path / "nightread.sqlite3", durable=True) as database:
        yield database


@pytest.mark.parametrize(
    ("callers", "reason"),
    [
        ([{"ae_title": "CT1"}], "Calling AE Title Not Recognized"),
        ([{"ae_title": "CT1", "address": "127.0.0.0/8"}], "Calling AE Title Not Recognized"),
        ([{"address": "10.1.0.0/16"}], "No Reason"),
        ([{"ae_title": "STORESCU", "address": "10.1.2.3"}, {"ae_title": "CT1"}], "Calling AE Title Not Recognized"),
    ],
)
def test_a_caller_who_is_not_listed_is_rejected(
    tmp_path: Path, sqlite: Database, scan: Path, callers: list[dict[str, str]], reason: str
) -> None:
    """The rejection has the reason of the standard, and is counted in a receipt; no image is written."""
    with running_receiver(tmp_path, sqlite, callers=callers) as receiver:
        sent = storescu(receiver.port, "-aet", "STORESCU", scan)
        assert (sent.returncode != 0, reason in sent.stderr) == (True, True), sent.stderr
        assert receiver.files == []
    (receipt,) = receiver.associations
    assert (receipt.calling_ae, receipt.address, receipt.received) == ("STORESCU", "127.0.0.1", 0)
    assert receipt.statuses == {"rejected": 1}


def test_a_failing_allow_list_rejects_every_caller(
    tmp_path: Path, sqlite: Database, scan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pynetdicom itself accepts a caller if the handler raises."""

    def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(AllowList, "rejection_reason", fail)
    with running_receiver(tmp_path, sqlite) as receiver:
        assert "No Reason" in storescu(receiver.port, scan).stderr
        assert receiver.files == []


def test_a_listed_caller_is_served(tmp_path: Path, sqlite: Database, scan: Path) -> None:
    """A caller may be listed by AE title, by network, or by both."""
    callers = [{"ae_title": "CT1", "address": "127.0.0.0/8"}, {"ae_title": "MR1"}]
    with running_receiver(tmp_path, sqlite, callers=callers) as receiver:
        assert [storescu(receiver.port, "-aet", title, scan).returncode for title in ("CT1", "MR1")] == [0, 0]


def test_a_caller_of_another_ae_title_is_rejected(tmp_path: Path, sqlite: Database, scan: Path) -> None:
    """A sender that calls another system must not get its images acknowledged here."""
    with running_receiver(tmp_path, sqlite, ae_title="NIGHT") as receiver:
        sent = storescu(receiver.port, scan, called="ARCHIVE")
        assert "Called AE Title Not Recognized" in sent.stderr
        assert echoscu(receiver.port, called="NIGHT").returncode == 0


def test_a_short_disk_answers_out_of_resources(tmp_path: Path, sqlite: Database, scan: Path) -> None:
    """The status is A700 and is counted in the receipt; the spool stays empty, and C-ECHO still succeeds."""
    with running_receiver(tmp_path, sqlite, settings={"disk_reserve_bytes": HUGE_RESERVE}) as receiver:
        sent = storescu(receiver.port, "-v", scan)
        assert "OutOfResources" in sent.stderr
        assert receiver.files == []
        assert echoscu(receiver.port).returncode == 0
    (receipt,) = receiver.associations
    assert (receipt.received, receipt.refused, receipt.statuses) == (0, 1, {"A700": 1})


def test_an_image_beyond_the_limit_is_dropped_while_it_arrives(tmp_path: Path, sqlite: Database, scan: Path) -> None:
    """The status is C001 and is counted in the receipt; a smaller image of the same sender is stored."""
    large = scan.stat().st_size - 1000
    with running_receiver(tmp_path, sqlite, settings={"max_file_bytes": large}) as receiver:
        assert "CannotUnderstand" in storescu(receiver.port, "-v", scan).stderr
        assert receiver.files == []
    (receipt,) = receiver.associations
    assert (receipt.received, receipt.failed, receipt.statuses) == (0, 1, {"C001": 1})


def test_an_endless_image_ends_its_association(tmp_path: Path, sqlite: Database, scan: Path) -> None:
    """It may not fill the disk, nor keep its association for an hour."""
    fragment = fragments(b"\x00" + bytes(16000))
    with running_receiver(tmp_path, sqlite, settings={"max_file_bytes": 100_000}) as receiver:
        association, command = _open_association(receiver, scan)
        association.dul.send_pdu(command)
        for _ in range(20):
            association.dul.send_pdu(fragment)
        wait_until(lambda: association.is_aborted, seconds=20, what="the association is aborted")
        assert receiver.files == []


def test_a_disk_that_fills_up_in_the_middle_answers_out_of_resources(tmp_path: Path, sqlite: Database) -> None:
    """On a full disk the incomplete file is removed, and the next image is stored when there is space again."""
    write_copies(tmp_path / "sent", images=2)
    first, second = sorted((tmp_path / "sent").rglob("*.dcm"))
    with (
        small_disk(tmp_path / "disk", mib=4) as disk,
        running_receiver(tmp_path, sqlite, settings={"spool_dir": disk / "spool", "disk_reserve_bytes": 0}) as receiver,
    ):
        with full(disk):
            assert "OutOfResources" in storescu(receiver.port, "-v", first).stderr
            assert receiver.files == []
        assert storescu(receiver.port, second).returncode == 0
        assert len(receiver.files) == len(receiver.arrivals) == 1


def test_an_unavailable_database_fails_the_image_and_the_next_one_is_stored(
    tmp_path: Path, postgres_server: PostgresServer, scan: Path
) -> None:
    """The sender keeps an image that is not in the database; in the end both transfers may be registered."""
    with postgres_server.database() as database, running_receiver(tmp_path, database) as receiver:
        assert storescu(receiver.port, scan).returncode == 0
        with stopped(postgres_server):
            sent = storescu(receiver.port, "-v", scan)
            assert "0x110" in sent.stderr, sent
        wait_until(lambda: len(receiver.arrivals) == 2, seconds=60, what="the failed transfer is registered late")
        assert storescu(receiver.port, scan).returncode == 0
        assert len(receiver.arrivals) == len(receiver.files) == 3
        assert sum(receipt.received for receipt in receiver.associations) == 2


def test_a_transfer_that_breaks_off_leaves_nothing(tmp_path: Path, sqlite: Database, scan: Path) -> None:
    """Half an image leaves no file, and the receiver serves the next caller."""
    with running_receiver(tmp_path, sqlite) as receiver:
        _send_half(receiver, scan)
        assert storescu(receiver.port, scan).returncode == 0
        assert len(receiver.files) == 1


def test_a_silent_client_does_not_block_others(tmp_path: Path, sqlite: Database, scan: Path) -> None:
    """It connects and sends nothing; other clients are served, and its connection is closed after a time-out."""
    with (
        running_receiver(tmp_path, sqlite, idle_seconds=1) as receiver,
        socket.create_connection(("127.0.0.1", receiver.port)) as silent,
    ):
        assert storescu(receiver.port, scan).returncode == 0
        silent.settimeout(20)
        assert silent.recv(1) == b""


def test_a_pdu_that_is_too_long_ends_the_connection(tmp_path: Path, sqlite: Database, scan: Path) -> None:
    """Otherwise a sender could make the receiver read 4 GiB into memory."""
    with (
        running_receiver(tmp_path, sqlite, idle_seconds=1) as receiver,
        socket.create_connection(("127.0.0.1", receiver.port)) as peer,
    ):
        peer.sendall(b"\x01\x00\xff\xff\xff\xff")
        peer.settimeout(10)
        assert peer.recv(1) == b""
        assert storescu(receiver.port, scan).returncode == 0


@pytest.mark.parametrize("data", [b"", b"\x03garbage", b"\x03" + bytes(8)])
def test_an_unreadable_message_aborts_its_association(
    tmp_path: Path, sqlite: Database, scan: Path, data: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    """The sender gets an abort, no thread dies, and no traceback is printed."""
    with running_receiver(tmp_path, sqlite) as receiver:
        association, _ = _open_association(receiver, scan)
        association.dul.send_pdu(fragments(data))
        wait_until(lambda: association.is_aborted, seconds=5, what="the association is aborted")
        assert storescu(receiver.port, scan).returncode == 0
    assert "Traceback" not in capfd.readouterr().err


def test_images_beyond_the_limit_of_waiting_messages_are_refused(tmp_path: Path, sqlite: Database, scan: Path) -> None:
    """Each waiting image is an open file, and a process may have only about a thousand of them."""
    with running_receiver(tmp_path, sqlite) as receiver:
        association, command = _open_association(receiver, scan)
        statuses: list[int] = []
        association.bind(evt.EVT_DIMSE_RECV, lambda event: statuses.append(event.message.command_set.Status))
        for _ in range(_UNACKNOWLEDGED_IMAGES):
            association.dul.send_pdu(command)
            association.dul.send_pdu(fragments(b"\x02" + bytes(100)))
        wait_until(lambda: len(statuses) == _UNACKNOWLEDGED_IMAGES, seconds=20, what="each image has a response")
        association.release()
        assert set(statuses) == {0x0000, 0xA700}
        assert len(receiver.files) == len(receiver.arrivals) == statuses.count(0x0000)


def test_more_associations_than_allowed_are_rejected_for_now(
    tmp_path: Path, sqlite: Database, scan: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The rejection is transient, so that the sender tries again; it is counted in a receipt, and logged."""
    with running_receiver(tmp_path, sqlite, associations=1) as receiver:
        entity = AE()
        entity.add_requested_context("1.2.840.10008.1.1")
        active = entity.associate("127.0.0.1", receiver.port, ae_title="NIGHTREAD")
        assert active.is_established
        sent = storescu(receiver.port, scan)
        active.release()
        assert "Transient" in sent.stderr
        assert "Local Limit Exceeded" in sent.stderr
        assert refused_callers(receiver) == [("STORESCU", "127.0.0.1", {"rejected": 1})]
    (record,) = [one for one in caplog.records if "refused or broke off" in one.getMessage()]
    assert (record.__dict__["calling_ae"], record.__dict__["why"]) == ("STORESCU", "LOCAL_LIMIT_EXCEEDED")


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ({"address": "192.0.2.1"}, "cannot listen on 192.0.2.1"),
        ({"callers": [{"address": "ten.one"}]}, "ten.one is neither an IP address nor a network"),
        ({"tls": {}}, "needs a `certificate`"),
        ({"tls": {"certificate": "/nowhere.pem"}}, "cannot be used (FileNotFoundError)"),
    ],
)
def test_a_receiver_with_unusable_settings_does_not_start(
    tmp_path: Path, sqlite: Database, source: dict[str, object], says: str
) -> None:
    """It raises one sentence before anything is received."""
    with pytest.raises(UsageFault) as raised, running_receiver(tmp_path, sqlite, **source):
        pass
    assert says in str(raised.value)


def test_a_port_in_use_is_named(tmp_path: Path, sqlite: Database) -> None:
    """Another program listens on the port."""
    port = free_port()
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(UsageFault, match=f"port {port}"),
        running_receiver(tmp_path, sqlite, port=port),
    ):
        pass


def _send_half(receiver: RunningReceiver, scan: Path) -> None:
    """Send the command and the first fragment of a dataset, and abort the association."""
    association, command = _open_association(receiver, scan)
    association.dul.send_pdu(command)
    association.dul.send_pdu(fragments(b"\x00" + scan.read_bytes()[400:4000]))
    association.abort()


def _open_association(receiver: RunningReceiver, scan: Path) -> tuple[Association, P_DATA]:
    """Open an association; return it with the command of a C-STORE request in its first context."""
    dataset = dcmread(scan)
    entity = AE()
    entity.add_requested_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    message = C_STORE_RQ()
    message.primitive_to_message(request)
    message.command_set.CommandDataSetType = 1
    (command,) = message.encode_msg(1, 16384)
    return entity.associate("127.0.0.1", receiver.port, ae_title="NIGHTREAD"), command
