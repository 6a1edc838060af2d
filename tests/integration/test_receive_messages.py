"""A receiver responds to every message, also to half an image and to requests for other services."""

from pathlib import Path

import pytest
from compose_processes import wait_until
from cstore_receiver import RunningReceiver, refused_callers
from pydicom import Dataset, dcmread
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    CTImageStorage,
    StorageCommitmentPushModel,
    Verification,
)
from store_requests import associated, fragments, store_command

pytestmark = pytest.mark.servers

TITLE = b"NIGHTREAD"
CT1 = b"CT1".ljust(16)


def test_a_request_for_storage_commitment_is_refused(receiver: RunningReceiver, scan: Path) -> None:
    """The sender must not delete its images because of it, and may send images in the same association."""
    dataset = dcmread(scan)
    association = associated(receiver.port, StorageCommitmentPushModel, dataset.SOPClassUID, Verification)
    assert [one.abstract_syntax for one in association.rejected_contexts] == [StorageCommitmentPushModel]
    with pytest.raises(ValueError, match="Storage Commitment"):
        association.send_n_action(_commitment(), 1, StorageCommitmentPushModel, "1.2.840.10008.1.20.1.1")
    assert association.send_c_store(dataset).Status == 0x0000
    association.release()


def test_other_services_in_the_context_of_images_get_a_status(receiver: RunningReceiver, scan: Path) -> None:
    """0118: no such SOP class; 0122: SOP class not supported. The association goes on."""
    dataset = dcmread(scan)
    association = associated(receiver.port, dataset.SOPClassUID, CTImageStorage)
    action, _ = association.send_n_action(
        _commitment(), 1, StorageCommitmentPushModel, "1.2.840.10008.1.20.1.1", meta_uid=CTImageStorage
    )
    assert action.Status == 0x0118
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    assert [status.Status for status, _ in association.send_c_find(identifier, CTImageStorage)] == [0x0122]
    assert [status.Status for status, _ in association.send_c_move(identifier, "THERE", CTImageStorage)] == [0x0122]
    assert association.send_c_store(dataset).Status == 0x0000
    association.release()
    wait_until(lambda: _has_ended(receiver), seconds=10, what="the receipt is written")
    (receipt,) = receiver.associations
    assert (receipt.received, receipt.statuses) == (1, {"0118": 1, "0122": 2})


def test_an_event_report_gets_a_status(receiver: RunningReceiver, scan: Path) -> None:
    """Pynetdicom handles these requests in another thread."""
    association = associated(receiver.port, dcmread(scan).SOPClassUID)
    report = N_EVENT_REPORT()
    report.MessageID, report.EventTypeID = 1, 1
    report.AffectedSOPClassUID, report.AffectedSOPInstanceUID = StorageCommitmentPushModel, "1.2.840.10008.1.20.1.1"
    association._reactor_checkpoint.clear()
    association.dimse.send_msg(report, 1)
    _, response = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    assert response is not None
    assert response.Status == 0x0118  # type: ignore[union-attr]
    association.release()


@pytest.mark.parametrize("parts", [[b"\x02"], [b"\x00", b"\x02"]])
def test_an_empty_data_set_is_refused(receiver: RunningReceiver, scan: Path, parts: list[bytes]) -> None:
    """C000: the request cannot be understood. No file without a dataset is registered."""
    dataset = dcmread(scan)
    association = associated(receiver.port, dataset.SOPClassUID)
    association._reactor_checkpoint.clear()
    association.dul.send_pdu(store_command(dataset))
    for part in parts:
        association.dul.send_pdu(fragments(part))
    _, response = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    assert response is not None
    assert response.Status == 0xC000  # type: ignore[union-attr]
    association.release()
    wait_until(lambda: _has_ended(receiver), seconds=10, what="the receipt is written")
    assert (receiver.files, receiver.arrivals) == ([], [])
    assert receiver.associations[0].statuses == {"C000": 1}


def _expect_c000_and_store(receiver: RunningReceiver, association: Association, dataset: Dataset) -> None:
    """Expect C000 for the request that was sent, and that the association then stores an image."""
    _, response = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    assert response is not None
    assert response.Status == 0xC000  # type: ignore[union-attr]
    assert association.send_c_store(dataset).Status == 0x0000
    association.release()
    wait_until(lambda: _has_ended(receiver), seconds=10, what="the receipt is written")
    (receipt,) = receiver.associations
    assert (receipt.received, receipt.statuses) == (1, {"C000": 1})


@pytest.mark.parametrize("missing", ["AffectedSOPInstanceUID", "AffectedSOPClassUID", "dataset"])
def test_an_incomplete_request_to_store_has_a_response(receiver: RunningReceiver, scan: Path, missing: str) -> None:
    """C000: the request cannot be understood. Pynetdicom itself is silent, and the sender waits."""
    dataset = dcmread(scan)
    association = associated(receiver.port, dataset.SOPClassUID)
    association._reactor_checkpoint.clear()
    association.dul.send_pdu(store_command(dataset, without=missing))
    if missing != "dataset":
        association.dul.send_pdu(fragments(b"\x02" + scan.read_bytes()[400:]))
    _expect_c000_and_store(receiver, association, dataset)


@pytest.mark.filterwarnings("ignore:The value length:UserWarning")
@pytest.mark.parametrize("keyword", ["AffectedSOPInstanceUID", "AffectedSOPClassUID"])
def test_a_uid_that_is_too_long_costs_one_image_only(receiver: RunningReceiver, scan: Path, keyword: str) -> None:
    """A UID has at most 64 characters (DICOM PS3.5, section 6.2). C000: the request cannot be understood."""
    dataset = dcmread(scan)
    association = associated(receiver.port, dataset.SOPClassUID)
    association._reactor_checkpoint.clear()
    association.dul.send_pdu(store_command(dataset, **{keyword: "1.2.3." + "4" * 59}))
    association.dul.send_pdu(fragments(b"\x02" + scan.read_bytes()[400:]))
    _expect_c000_and_store(receiver, association, dataset)


@pytest.mark.parametrize(("ends", "how"), [("release", "incomplete"), ("abort", "aborted"), ("close", "aborted")])
def test_half_a_data_set_is_counted(receiver: RunningReceiver, scan: Path, ends: str, how: str) -> None:
    """The sender ends the association in the middle of its first image: the receipt says who it was."""
    dataset = dcmread(scan)
    association = associated(receiver.port, dataset.SOPClassUID)
    association.dul.send_pdu(store_command(dataset))
    association.dul.send_pdu(fragments(b"\x00" + scan.read_bytes()[400:4000]))
    wait_until(lambda: bool(receiver.files), seconds=10, what="the first half has arrived")
    if ends == "close":
        connection = association.dul.socket
        assert connection is not None
        connection.close()
    else:
        getattr(association, ends)()
    assert refused_callers(receiver) == [("PYNETDICOM", "127.0.0.1", {how: 1})]
    assert receiver.files == []


def _has_ended(receiver: RunningReceiver) -> bool:
    return any(one.ended_at for one in receiver.associations)


def _commitment() -> Dataset:
    """Return the action information of a request for storage commitment (DICOM PS3.4, table J.3-2)."""
    image = Dataset()
    image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = CTImageStorage, "1.2.3"
    action = Dataset()
    action.TransactionUID, action.ReferencedSOPSequence = "1.2.4", [image]
    return action
