"""STOW-RS sends a report as the only part of a multipart message."""

from email import message_from_bytes, policy
from email.message import Message
from io import BytesIO

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComprehensiveSRStorage, ExplicitVRLittleEndian
from web_server import Reply, Request, running_web_server

from delivery.reasons import DeliveryReason, NotDelivered
from delivery.stow import Stow
from nightread.sources import Login, StowDestination

UID = "1.2.826.0.1.3680043.10.1"


def _report() -> Dataset:
    report = Dataset()
    report.file_meta = FileMetaDataset()
    report.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    report.file_meta.MediaStorageSOPClassUID = report.SOPClassUID = ComprehensiveSRStorage
    report.file_meta.MediaStorageSOPInstanceUID = report.SOPInstanceUID = UID
    report.PatientName = "PHANTOM^A"
    return report


def _message(asked: Request) -> Message:
    head = f"Content-Type: {asked.headers['Content-Type']}\r\n\r\n".encode()
    return message_from_bytes(head + asked.body, policy=policy.HTTP)


def test_the_request_is_as_the_standard_requires() -> None:
    """DICOM PS3.18, section 10.5.1: path `studies`, declared type of the part, unchanged report."""
    with running_web_server(lambda _: Reply()) as server:
        stow = Stow(StowDestination(name="web", url=f"{server.url}/dicom-web", login=Login(bearer="t0ken")))
        assert stow.send(_report()) is None
        stow.close()
    (asked,) = server.asked
    assert (asked.path, asked.headers["Authorization"]) == ("/dicom-web/studies", "Bearer t0ken")
    assert asked.headers["Accept"].startswith("application/dicom+json")
    message = _message(asked)
    assert (message.get_content_type(), message.get_param("type")) == ("multipart/related", "application/dicom")
    assert not message.defects
    (part,) = message.get_payload()
    assert part.get_content_type() == "application/dicom"
    start = asked.body.index(b"\r\n\r\n") + 4
    content = asked.body[start : asked.body.rindex(b"\r\n--", start, len(asked.body) - 4)]
    assert pydicom.dcmread(BytesIO(content)) == _report()


def test_a_warning_of_the_store_is_returned() -> None:
    """The store has the report despite the warning."""
    body = (
        b'{"00081199":{"vr":"SQ","Value":[{"00081155":{"vr":"UI","Value":["%b"]},'
        b'"00081196":{"vr":"US","Value":[45056]}}]}}' % UID.encode()
    )
    reply = Reply(status=202, headers={"Content-Type": "application/dicom+json"}, body=[body])
    with running_web_server(lambda _: reply) as server:
        stow = Stow(StowDestination(name="web", url=server.url))
        assert stow.send(_report()) == "The destination returned status B000H."
        stow.close()


def test_a_web_page_is_not_a_receipt() -> None:
    """A proxy or a login page responds with 200 to everything, and the report is not stored."""
    reply = Reply(headers={"Content-Type": "text/html; charset=utf-8"}, body=[b"<html>Please log in</html>"])
    with running_web_server(lambda _: reply) as server:
        stow = Stow(StowDestination(name="web", url=server.url))
        with pytest.raises(NotDelivered) as raised:
            stow.send(_report())
        stow.close()
    assert raised.value.reason is DeliveryReason.NO_ANSWER


def test_a_failure_without_a_reason_is_a_failure() -> None:
    """An empty FailureReason counts as C000H, cannot understand."""
    body = b'{"00081198":{"vr":"SQ","Value":[{"00081155":{"vr":"UI","Value":["%b"]},"00081197":{"vr":"US"}}]}}'
    reply = Reply(status=202, headers={"Content-Type": "application/dicom+json"}, body=[body % UID.encode()])
    with running_web_server(lambda _: reply) as server:
        stow = Stow(StowDestination(name="web", url=server.url))
        with pytest.raises(NotDelivered) as raised:
            stow.send(_report())
        stow.close()
    assert raised.value.reason is DeliveryReason.NOT_UNDERSTOOD
