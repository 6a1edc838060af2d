"""Reports are stored in a real Orthanc, by C-STORE and by STOW-RS, and read back."""

import io
from collections.abc import Iterator
from pathlib import Path

import highdicom
import pydicom
import pytest
from analysed_studies import DIGEST, STUDY, AnalysedStudies, states
from dicom_peers import Orthanc, dcmtk, private_orthanc
from ledger_driver import LedgerDriver
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from db import queries
from imaging.errors import RejectDicomImage
from imaging.read import read
from nightread.reasons import Reason
from nightread.sources import Destination, Login, StoreDestination, StowDestination

pytestmark = [pytest.mark.servers, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]
LOGIN = ("nightread", "secret")


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """One Orthanc for all tests of this file; each test leaves it empty."""
    with private_orthanc(tmp_path_factory.mktemp("orthanc"), auth=LOGIN) as orthanc:
        yield orthanc
        orthanc.process.kill()  # it takes seconds to end by itself


@pytest.fixture(params=["store", "stow"])
def destination(request: pytest.FixtureRequest, orthanc: Orthanc) -> Iterator[Destination]:
    """The same server, by C-STORE and by STOW-RS."""
    yield destinations(orthanc)[request.param]
    for study in orthanc.get("/studies"):
        orthanc.delete(f"/studies/{study}")


@pytest.fixture
def studies(ledger_driver: LedgerDriver, tmp_path: Path, bundle_id: int) -> AnalysedStudies:
    """A database with analysed studies."""
    return AnalysedStudies(ledger_driver=ledger_driver, folder=tmp_path, bundle_id=bundle_id)


def destinations(orthanc: Orthanc) -> dict[str, Destination]:
    """Both destinations of the server, by protocol."""
    login = Login(user=LOGIN[0], password=LOGIN[1])
    return {
        "store": StoreDestination(name="pacs", ae_title=orthanc.ae_title, address="127.0.0.1", port=orthanc.dicom_port),
        "stow": StowDestination(name="web", url=orthanc.dicomweb_url, login=login),
    }


def test_the_stored_report_has_the_right_values(
    studies: AnalysedStudies, orthanc: Orthanc, destination: Destination, tmp_path: Path
) -> None:
    """Label, score, model and image of each group are read back exactly as they were sent."""
    nodule, normal = studies.write_scan(), studies.write_scan()
    studies.register(nodule)
    studies.analyse(label="nodule", score=0.8735149502754211)
    studies.register(normal)
    studies.analyse(label="normal", score=0.75)

    assert states(studies.send(destination)) == [("delivered", None)]

    (report,) = reports(orthanc)
    assert report.PatientName == pydicom.dcmread(nodule).PatientName
    assert (report.VerificationFlag, report.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    assert report.SeriesDescription == "AI - NOT FOR DIAGNOSIS"
    groups = highdicom.sr.srread(io.BytesIO(written(report))).content.get_image_measurement_groups()
    assert [group.get_measurements(codes.DCM.Probability)[0].value for group in groups] == [0.8735149502754211, 0.75]
    assert [group.finding_type.meaning for group in groups] == ["nodule", "normal"]
    assert [group.source_images[0].referenced_sop_instance_uid for group in groups] == [
        pydicom.dcmread(path).SOPInstanceUID for path in (nodule, normal)
    ]
    file = tmp_path / "report.dcm"
    file.write_bytes(written(report))
    shown = dcmtk("dsrdump", "+Pl", file)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert f"bundle sha256:{DIGEST}" in shown.stdout
    assert 'Probability")="0.87351495027542"' in shown.stdout


def test_a_report_is_not_sent_twice(studies: AnalysedStudies, orthanc: Orthanc, destination: Destination) -> None:
    """Another pass sends nothing, even if a user names the study."""
    studies.add_study()
    studies.send(destination)

    assert studies.send(destination) == []
    assert len(reports(orthanc)) == len(list(queries.deliveries(studies.ledger_driver.database))) == 1


def test_another_result_is_a_revision(studies: AnalysedStudies, orthanc: Orthanc, destination: Destination) -> None:
    """The revision has a UID of its own and names the previous report, in the same series."""
    studies.add_study()
    studies.send(destination)
    studies.add_study(score=0.5)

    (results,) = studies.send(destination)

    first, second = sorted(reports(orthanc), key=lambda report: int(report.InstanceNumber))
    (predecessor,) = second.PredecessorDocumentsSequence
    series = predecessor.ReferencedSeriesSequence[0]
    assert (results.state, results.revision, int(second.InstanceNumber)) == ("delivered", 2, 2)
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert series.SeriesInstanceUID == second.SeriesInstanceUID == first.SeriesInstanceUID
    assert "PredecessorDocumentsSequence" not in first


def test_a_returned_report_is_recognised_as_own_result(
    studies: AnalysedStudies, orthanc: Orthanc, destination: Destination
) -> None:
    """A poller or receiver does not take a report of nightread for another object."""
    studies.add_study()
    studies.send(destination)

    with pytest.raises(RejectDicomImage) as rejected:
        read(written(reports(orthanc)[0]))

    assert rejected.value.reason is Reason.OWN_RESULT
    assert rejected.value.facts.study_instance_uid == STUDY


def reports(orthanc: Orthanc) -> list[Dataset]:
    """Return all reports that Orthanc has stored."""
    return [
        pydicom.dcmread(io.BytesIO(orthanc.session.get(f"{orthanc.url}/instances/{number}/file", timeout=10).content))
        for number in orthanc.get("/instances")
    ]


def written(report: Dataset) -> bytes:
    """Return the report as a file."""
    buffer = io.BytesIO()
    report.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
