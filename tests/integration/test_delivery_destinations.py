"""Destinations that are unreachable, refuse, warn, or return invalid responses."""

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
import skip_reasons
from analysed_studies import STUDY, AnalysedStudies, states
from dicom_peers import free_port
from pydicom.uid import BasicTextSRStorage
from report_destinations import accepting_destination, cstore_destination, cstore_settings, stow_server

from db import queries
from delivery.reasons import DeliveryReason
from nightread.sources import Login, StowDestination, Tls

pytestmark = [
    pytest.mark.parametrize("database", ["sqlite"], indirect=True),
    # pynetdicom 3.0.4 leaves the socket of a connection that was refused to the garbage collector.
    pytest.mark.usefixtures("collect_garbage"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"),
]

FAILED_IN_XML = (
    b'<NativeDicomModel><DicomAttribute tag="00081198" vr="SQ" keyword="FailedSOPSequence"><Item number="1">'
    b'<DicomAttribute tag="00081197" vr="US" keyword="FailureReason"><Value number="1">%d</Value>'
    b"</DicomAttribute></Item></DicomAttribute></NativeDicomModel>"
)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip(skip_reasons.OPENSSL)
    folder = tmp_path_factory.mktemp("certificate")
    pem, key = folder / "pacs.pem", folder / "pacs.key"
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    places = ["-keyout", str(key), "-out", str(pem), "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, *places], check=True, capture_output=True)
    return pem, key


@pytest.mark.parametrize(
    ("status", "end"),
    [(0xB000, ("delivered", None)), (0xA700, ("waiting", "busy")), (0xC000, ("failed", "not_understood"))],
)
def test_each_c_store_status_has_its_result(studies: AnalysedStudies, status: int, end: tuple[str, str | None]) -> None:
    """A warning means that the report is stored; lack of resources is retried; a rejected report is not."""
    with cstore_destination(status) as (store, received):
        (results,) = studies.send(store)

    assert (results.state, results.reason) == end
    assert results.detail == f"The destination returned status {status:04X}H."
    assert len(received) == 1


def test_a_store_that_accepts_no_structured_reports(studies: AnalysedStudies) -> None:
    """The store accepts the association, but not the SOP class."""
    with cstore_destination(sop_class=BasicTextSRStorage) as (store, _):
        assert states(studies.send(store)) == [("failed", "not_supported")]


def test_a_store_that_does_not_know_the_ae_title_is_retried(studies: AnalysedStudies) -> None:
    """A person may add the AE title of nightread at the store, so the report is retried."""
    with cstore_destination(require_calling_aet=["OTHER"]) as (store, _):
        assert states(studies.send(store)) == [("waiting", "refused")]


def test_an_unreachable_store_is_retried_with_growing_pauses(studies: AnalysedStudies) -> None:
    """Each pause is longer than the one before, and all attempts use the same UID."""
    port = free_port()
    pauses = []
    for _ in range(4):
        assert states(studies.send(cstore_settings(port))) == [("waiting", "unreachable")]
        (row,) = queries.deliveries(studies.ledger_driver.database)
        assert row.not_before is not None
        pauses.append((row.not_before - studies.ledger_driver.clock()).total_seconds())
        assert states(studies.send(cstore_settings(port))) == [("waiting", "unreachable")]
        studies.ledger_driver.clock.advance(seconds=10)
    with cstore_destination() as (store, received):
        assert states(studies.send(store)) == [("delivered", None)]

    (row,) = queries.deliveries(studies.ledger_driver.database)
    assert row.attempts == 5
    assert received == [row.sop_instance_uid]
    assert [0.5 * 2**attempt <= pause <= min(2**attempt, 8) for attempt, pause in enumerate(pauses)] == [True] * 4


def test_a_possibly_stored_uid_is_not_used_for_other_results(studies: AnalysedStudies) -> None:
    """Other results are sent as a revision with a UID of their own."""
    with stow_server(504) as (url, _):
        assert states(studies.send(StowDestination(name="pacs", url=url))) == [("waiting", "no_answer")]
    studies.ledger_driver.clock.advance(seconds=10)
    (results,) = studies.send(cstore_settings(free_port()))
    assert (results.reason, results.detail) == ("no_answer", DeliveryReason.UNREACHABLE.message)
    studies.add_study(score=0.5)
    studies.ledger_driver.clock.advance(seconds=10)
    with cstore_destination() as (store, received):
        assert states(studies.send(store)) == [("delivered", None)]

    first, second = queries.deliveries(studies.ledger_driver.database)
    assert (first.reason, second.replaces) == ("overtaken", first.sop_instance_uid)
    assert received == [second.sop_instance_uid]


def test_a_report_fails_after_the_last_retry(studies: AnalysedStudies) -> None:
    """After `retry_patience_seconds` a report fails; it is sent again only on request."""
    port = free_port()
    studies.send(cstore_settings(port))
    studies.ledger_driver.clock.advance(hours=7)

    assert states(studies.send(cstore_settings(port))) == [("failed", "unreachable")]
    with accepting_destination() as (store, received):
        assert studies.send(store) == []
        assert states(studies.send(store, again=True)) == [("delivered", None)]
    assert len(received) == 1


def test_an_unreachable_store_is_tried_once_per_pass(studies: AnalysedStudies) -> None:
    """A hundred studies do not each wait for the time-out; all are sent when the store is back."""
    port = free_port()
    for number in range(2, 5):
        studies.add_study(study=f"{STUDY}{number}")

    assert len(studies.send(cstore_settings(port))) == 4

    assert sorted(row.attempts for row in queries.deliveries(studies.ledger_driver.database)) == [0, 0, 0, 1]
    studies.ledger_driver.clock.advance(seconds=10)
    with cstore_destination() as (store, received):
        studies.send(store)
    assert len(received) == 4


@pytest.mark.parametrize(
    ("status", "end"),
    [
        (200, ("delivered", None)),
        (202, ("delivered", None)),
        (401, ("waiting", "refused")),
        (409, ("failed", "not_understood")),
        (415, ("failed", "not_supported")),
        (429, ("waiting", "busy")),
        (504, ("waiting", "no_answer")),
        (503, ("waiting", "busy")),
    ],
)
def test_each_http_status_has_its_result(studies: AnalysedStudies, status: int, end: tuple[str, str | None]) -> None:
    """The body of the response is empty."""
    with stow_server(status) as (url, _):
        assert states(studies.send(StowDestination(name="web", url=url))) == [end]


@pytest.mark.parametrize(
    ("status", "reason", "end"),
    [(202, 0xA700, "busy"), (409, 0x0122, "not_supported"), (202, 0xC000, "not_understood")],
)
@pytest.mark.parametrize(
    ("media_type", "template"),
    [
        (
            "application/dicom+json; charset=utf-8",
            b'{"00081198":{"vr":"SQ","Value":[{"00081197":{"vr":"US","Value":[%d]}}]}}',
        ),
        (
            "application/dicom+xml",
            FAILED_IN_XML,
        ),
    ],
    ids=["JSON", "XML"],
)
def test_a_failed_sop_sequence_counts_with_any_http_status(
    studies: AnalysedStudies, status: int, reason: int, end: str, media_type: str, template: bytes
) -> None:
    """The Failed SOP Sequence decides, in JSON and in XML."""
    with stow_server(status, template % reason, Content_Type=media_type) as (url, _):
        (results,) = studies.send(StowDestination(name="web", url=url))

    assert results.reason == end


def test_a_redirection_is_not_followed(studies: AnalysedStudies) -> None:
    """A redirect could send patient data to another host."""
    with stow_server(200) as (elsewhere, received), stow_server(307, Location=elsewhere) as (url, _):
        assert states(studies.send(StowDestination(name="web", url=url))) == [("waiting", "refused")]
        assert received == []


@pytest.mark.parametrize("media_type", ["application/dicom+json", "application/dicom+xml"])
def test_an_invalid_response_is_no_success(studies: AnalysedStudies, media_type: str) -> None:
    """A login page with status 200 does not confirm a report."""
    with stow_server(200, b"<html>", Content_Type=media_type) as (url, _):
        assert states(studies.send(StowDestination(name="web", url=url))) == [("waiting", "no_answer")]


def test_a_bearer_token_is_sent(studies: AnalysedStudies) -> None:
    """Credentials from the configuration of the host, such as `.netrc`, are not sent."""
    with stow_server(200) as (url, received):
        studies.send(StowDestination(name="web", url=url, login=Login(bearer="t0ken")))

    assert received[0]["Authorization"] == "Bearer t0ken"


def test_tls_is_verified(studies: AnalysedStudies, certificate: tuple[Path, Path]) -> None:
    """A store with a trusted certificate gets the report; any other store gets nothing."""
    known = Tls(ca=certificate[0])
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*certificate)
    with cstore_destination(tls=server) as (store, received):
        stranger = store.model_copy(update={"tls": Tls()})
        assert states(studies.send(stranger)) == [("waiting", "unreachable")]
        studies.ledger_driver.clock.advance(seconds=10)
        assert states(studies.send(store.model_copy(update={"tls": known}))) == [("delivered", None)]
        assert len(received) == 1
    with stow_server(200, tls=server) as (url, sent):
        assert states(studies.send(StowDestination(name="stranger", url=url))) == [("waiting", "refused")]
        assert states(studies.send(StowDestination(name="web", url=url, tls=known))) == [("delivered", None)]
        assert len(sent) == 1


def test_missing_certificate_files_concern_one_destination_only(
    studies: AnalysedStudies, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its reports wait with a message, and other destinations get theirs."""
    tls = Tls(ca=tmp_path / "none.pem")
    pacs, web = cstore_settings(1, tls=tls), StowDestination(name="web", url="https://127.0.0.1:1", tls=tls)
    with stow_server(200) as (url, received):
        results = studies.send(pacs, web, StowDestination(name="other", url=url))
    assert states(results) == [("waiting", "certificates"), ("waiting", "certificates"), ("delivered", None)]
    assert len(received) == 1
    for name, result in zip(("pacs", "web"), results, strict=False):
        message = (
            f"The certificate files of the destination {name} cannot be read (FileNotFoundError): correct its `tls`."
        )
        assert result.detail == message
        assert message in caplog.messages


def test_corrected_certificate_files_are_read_without_a_restart(
    studies: AnalysedStudies, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    """The same process sends the waiting report in a later pass."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*certificate)
    authority = tmp_path / "late.pem"
    with stow_server(200, tls=server) as (url, received):
        web = StowDestination(name="web", url=url, tls=Tls(ca=authority))
        with studies.delivery_loop(web) as delivery_loop:
            list(delivery_loop.deliver(delivery_loop.ready()))
            assert received == []
            shutil.copyfile(certificate[0], authority)
            studies.ledger_driver.clock.advance(seconds=10)
            (result,) = delivery_loop.deliver(delivery_loop.ready())
    assert result is not None
    assert result.state == "delivered"


def test_a_web_store_that_is_not_running_is_unreachable(studies: AnalysedStudies) -> None:
    """This differs from a store that may have the report and did not confirm it."""
    url = f"http://127.0.0.1:{free_port()}"
    assert states(studies.send(StowDestination(name="web", url=url))) == [("waiting", "unreachable")]


def test_a_log_names_no_uid(studies: AnalysedStudies, caplog: pytest.LogCaptureFixture) -> None:
    """No log line holds a UID or a patient, even at level DEBUG."""
    caplog.set_level("DEBUG")
    with cstore_destination() as (store, _), stow_server(200) as (url, _):
        studies.send(store, StowDestination(name="web", url=url))
        studies.add_study(score=0.5)
        (studies.inbox / "1.dcm").unlink()
        studies.send(store)

    assert "report delivered" in caplog.text
    for identifying in ("1.2.826", "2.25.", "PHANTOM^", "PH0077"):
        assert identifying not in caplog.text
