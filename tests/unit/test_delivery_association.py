"""The association of C-STORE: how it is opened, kept and ended, with a peer that a test defines."""

import ssl
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from pydicom.dataset import Dataset, FileMetaDataset

from delivery.reasons import DeliveryReason, NotDelivered
from delivery.store_scu import StoreScu, warning_from_status
from nightread.sources import StoreDestination, Tls

REPORT = Dataset()
REPORT.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.34"


class FakeAssociation:
    """An association in a state that a test sets."""

    def __init__(self, **state: Any) -> None:
        self.is_established = True
        self.is_rejected = False
        self.accepted_contexts = [SimpleNamespace(abstract_syntax=str(REPORT.SOPClassUID))]
        self.acceptor = SimpleNamespace(primitive="A-ASSOCIATE")
        self.expected = REPORT
        self.status: int | Exception | None = 0x0000
        self.calls: list[str] = []
        vars(self).update(state)

    def send_c_store(self, report: Dataset) -> Dataset:
        """Answer with the status of the test."""
        assert report is self.expected
        self.calls.append("send")
        if isinstance(self.status, Exception):
            raise self.status
        response = Dataset()
        if self.status is not None:
            response.Status = self.status
        return response

    def abort(self) -> None:
        """Remember the call."""
        self.calls.append("abort")

    def release(self) -> None:
        """Remember the call."""
        self.calls.append("release")


class FakeEntity:
    """The application entity of pynetdicom, which remembers what it was given."""

    opened: ClassVar[list["FakeEntity"]] = []
    association: ClassVar[FakeAssociation]

    def __init__(self, ae_title: str) -> None:
        self.ae_title = ae_title
        self.contexts: list[tuple[str, list[str]]] = []
        self.opened.append(self)

    def add_requested_context(self, sop_class: str, syntaxes: list[str]) -> None:
        """Remember the context."""
        self.contexts.append((sop_class, syntaxes))

    def associate(self, address: str, port: int, *, ae_title: str, tls_args: object) -> FakeAssociation:
        """Remember the peer."""
        self.peer = (address, port, ae_title, tls_args)
        return self.association


@pytest.fixture(autouse=True)
def entities(monkeypatch: pytest.MonkeyPatch) -> list[FakeEntity]:
    """Replace pynetdicom; return the entities that are opened."""
    FakeEntity.opened, FakeEntity.association = [], FakeAssociation()
    monkeypatch.setattr("delivery.store_scu.AE", FakeEntity)
    return FakeEntity.opened


def scu(**values: Any) -> StoreScu:
    """Return a sender to `PACS`."""
    given = {"name": "pacs", "ae_title": "PACS", "address": "10.1.2.3", "port": 11112, "timeout_seconds": 7}
    return StoreScu(StoreDestination(**given | {"calling_ae_title": "WARD"} | values))


def failure(sender: StoreScu) -> tuple[DeliveryReason, str]:
    """Return reason and detail of the failure."""
    with pytest.raises(NotDelivered) as raised:
        sender.send(REPORT)
    return raised.value.reason, raised.value.detail


def test_the_association_is_requested_as_the_settings_say(entities: list[FakeEntity]) -> None:
    """All four time-outs are that of the destination; the report can be sent in two transfer syntaxes."""
    assert scu().send(REPORT) is None
    (entity,) = entities
    assert (entity.ae_title, entity.peer) == ("WARD", ("10.1.2.3", 11112, "PACS", None))
    syntaxes = ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2"]
    assert entity.contexts == [(f"1.2.840.10008.5.1.4.1.1.88.{number}", syntaxes) for number in (34, 33)]
    state = vars(entity)
    assert state["implementation_class_uid"] == "2.25.114582693106495225512707587987074980923"
    assert state["implementation_version_name"] == "NIGHTREAD"
    names = ("acse_timeout", "dimse_timeout", "network_timeout", "connection_timeout")
    assert [state[name] for name in names] == [7] * 4


def test_reports_share_an_association_as_long_as_it_is_established(entities: list[FakeEntity]) -> None:
    """A destination may end it between two reports."""
    sender = scu()
    sender.send(REPORT)
    sender.send(REPORT)
    assert len(entities) == 1
    first, FakeEntity.association = FakeEntity.association, FakeAssociation()
    first.is_established = False
    sender.send(REPORT)
    assert len(entities) == 2
    assert (first.calls, FakeEntity.association.calls) == (["send", "send"], ["send"])


@pytest.mark.parametrize(
    ("state", "reason", "detail"),
    [
        ({"is_rejected": True}, DeliveryReason.REFUSED, "The destination rejected the association."),
        ({"accepted_contexts": []}, DeliveryReason.NOT_SUPPORTED, DeliveryReason.NOT_SUPPORTED.message),
        ({}, DeliveryReason.UNREACHABLE, DeliveryReason.UNREACHABLE.message),
        (
            {"accepted_contexts": [], "acceptor": SimpleNamespace(primitive=None)},
            DeliveryReason.UNREACHABLE,
            DeliveryReason.UNREACHABLE.message,
        ),
    ],
    ids=["rejected", "no context", "ended", "no answer"],
)
def test_an_association_that_is_not_established_has_its_reason(
    state: dict[str, Any], reason: DeliveryReason, detail: str
) -> None:
    """A destination that answers without an accepted context does not support reports."""
    FakeEntity.association = FakeAssociation(is_established=False, **state)
    assert failure(scu()) == (reason, detail)
    assert FakeEntity.association.calls == []


def test_an_association_that_ends_before_the_request_is_unreachable() -> None:
    """The report was not sent."""
    FakeEntity.association.status = RuntimeError()
    assert failure(scu()) == (DeliveryReason.UNREACHABLE, "The destination ended the association.")


def test_a_request_without_an_answer_aborts_the_association() -> None:
    """The destination may have stored the report."""
    FakeEntity.association.status = None
    assert failure(scu()) == (DeliveryReason.NO_ANSWER, DeliveryReason.NO_ANSWER.message)
    assert FakeEntity.association.calls == ["send", "abort"]


def test_a_warning_status_is_returned() -> None:
    """The report is stored."""
    FakeEntity.association.status = 0xB006
    assert scu().send(REPORT) == "The destination returned status B006H."
    assert FakeEntity.association.calls == ["send"]


@pytest.mark.parametrize(("established", "calls"), [(True, ["send", "release"]), (False, ["send"])])
def test_an_association_is_released_once_if_it_is_established(established: bool, calls: list[str]) -> None:
    """A sender that never sent anything, or is closed already, has nothing to release."""
    sender = scu()
    sender.close()
    sender.send(REPORT)
    FakeEntity.association.is_established = established
    sender.close()
    sender.close()
    assert FakeEntity.association.calls == calls


def test_a_closed_sender_opens_a_new_association(entities: list[FakeEntity]) -> None:
    """The released one cannot be used, whatever it says."""
    sender = scu()
    sender.send(REPORT)
    sender.close()
    sender.send(REPORT)
    assert len(entities) == 2


class FakeContext:
    """A TLS context that remembers its certificates."""

    def __init__(self, cafile: Path | None) -> None:
        self.cafile = cafile
        self.chain: tuple[object, ...] | None = None

    def load_cert_chain(self, certificate: Path, key: Path) -> None:
        """Remember the certificate."""
        self.chain = (certificate, key)


@pytest.mark.parametrize("has_certificate", [True, False])
def test_the_association_uses_the_certificates_of_the_settings(
    entities: list[FakeEntity], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, has_certificate: bool
) -> None:
    """The host name of the certificate must be the address."""
    monkeypatch.setattr(ssl, "create_default_context", FakeContext)
    own = {"certificate": tmp_path / "own.pem", "key": tmp_path / "own.key"} if has_certificate else {}
    scu(tls=Tls(ca=tmp_path / "ca.pem", **own)).send(REPORT)
    context, host = entities[0].peer[3]  # type: ignore[misc]
    assert (context.cafile, host) == (tmp_path / "ca.pem", "10.1.2.3")
    assert context.chain == ((tmp_path / "own.pem", tmp_path / "own.key") if has_certificate else None)


@pytest.mark.parametrize("error", [OSError(), ValueError()])
def test_certificates_that_cannot_be_read_have_a_reason_of_their_own(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """An empty key file, for example, is a ValueError."""

    def fail(cafile: Path | None) -> FakeContext:
        raise error

    monkeypatch.setattr(ssl, "create_default_context", fail)
    with pytest.raises(NotDelivered) as raised:
        scu(tls=Tls())
    message = f"The certificate files of the destination pacs cannot be read ({type(error).__name__}): correct"
    assert raised.value.reason is DeliveryReason.CERTIFICATES
    assert raised.value.detail.startswith(message)


def test_an_unreachable_destination_with_tls_may_have_another_certificate() -> None:
    """Pynetdicom does not tell one from the other."""
    FakeEntity.association = FakeAssociation(is_established=False)
    detail = "The destination cannot be reached, or a certificate is not trusted. Check address, port and `tls`."
    assert failure(scu(tls=Tls())) == (DeliveryReason.UNREACHABLE, detail)


@pytest.mark.parametrize("status", [0x0001, 0x0121, 0x0123, 0x0125, 0xA6FF, 0xA800, 0xAFFF, 0xC000])
def test_neighbours_of_a_status_are_not_taken_for_it(status: int) -> None:
    """Table B.2-1 of PS3.4 and annex C of PS3.7."""
    with pytest.raises(NotDelivered) as raised:
        warning_from_status(status)
    expected = (DeliveryReason.NOT_UNDERSTOOD, f"The destination returned status {status:04X}H.")
    assert (raised.value.reason, raised.value.detail) == expected


def test_all_warnings_of_the_group_are_successes() -> None:
    """B000H to BFFFH."""
    assert warning_from_status(0xBFFF) == "The destination returned status BFFFH."


def test_an_older_store_gets_the_report_as_comprehensive_sr(entities: list[FakeEntity]) -> None:
    """Nothing in the report needs the newer class; reports that it names are changed with it."""
    FakeEntity.association = FakeAssociation(
        accepted_contexts=[SimpleNamespace(abstract_syntax="1.2.840.10008.5.1.4.1.1.88.33")]
    )
    report, reference, series, study = Dataset(), Dataset(), Dataset(), Dataset()
    report.file_meta = FileMetaDataset()
    report.SOPClassUID = reference.ReferencedSOPClassUID = REPORT.SOPClassUID
    series.ReferencedSOPSequence, study.ReferencedSeriesSequence = [reference], [series]
    report.PredecessorDocumentsSequence = [study]
    FakeEntity.association.expected = report

    assert scu().send(report) is None
    assert report.SOPClassUID == report.file_meta.MediaStorageSOPClassUID == "1.2.840.10008.5.1.4.1.1.88.33"
    assert reference.ReferencedSOPClassUID == "1.2.840.10008.5.1.4.1.1.88.33"
    assert len(entities) == 1


def test_an_object_of_a_class_that_is_not_accepted_is_not_supported(entities: list[FakeEntity]) -> None:
    """The association stays, since other objects may be accepted."""
    picture = Dataset()
    picture.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    sender = scu(objects=("report", "key_image"))
    with pytest.raises(NotDelivered) as raised:
        sender.send(picture)
    assert raised.value.reason is DeliveryReason.NOT_SUPPORTED
    assert entities[0].contexts[-1][0] == picture.SOPClassUID
    assert sender.send(REPORT) is None
    assert len(entities) == 1
