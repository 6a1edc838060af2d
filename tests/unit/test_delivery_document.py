"""The elements of a report around its content: series, versions, dates, evidence, patient and study."""

import io
from datetime import UTC, datetime
from typing import Any

import pydicom
import pytest
from dicom_files import modified_phantom
from pydicom.dataset import Dataset, FileDataset

from db.queries import ReportableResult, ReportedBundle, StudyResults
from delivery.identity import Identity, read_identity
from delivery.report import Revision, build_report, file_bytes
from nightread import __version__

STUDY = "1.2.826.0.1.3680043.10.5"
SERIES = "2.25.300"
IDENTIFYING = {
    "StudyDate": "20261101",
    "StudyTime": "101112",
    "AccessionNumber": "A-17",
    "ReferringPhysicianName": "Roe^Richard",
    "PatientName": "Doe^Jane",
    "PatientID": "4711",
    "IssuerOfPatientID": "WARD",
    "PatientBirthDate": "19700102",
    "PatientSex": "F",
    "StudyID": "S1",
}
QUALIFIERS = {"IssuerOfPatientIDQualifiersSequence": "1.9.1", "IssuerOfAccessionNumberSequence": "1.9.2"}


def result(number: int, *, series: str = "1.4", label: str = "nodule") -> ReportableResult:
    """Return the result of one image."""
    return ReportableResult(
        image_id=number,
        sop_instance_uid=f"1.5.{number}",
        sop_class_uid=f"1.2.840.10008.5.1.4.1.1.{number}",
        series_instance_uid=series,
        modality="CT",
        label=label,
        score=0.5,
        frames=(),
        bundle=ReportedBundle(name="phantom", version="1.0", digest="d" * 64, normal_label="normal"),
    )


def identity_of(source: bytes) -> Identity:
    """Read the identity of an image that `with_study` has written."""
    return read_identity(source, study_instance_uid=STUDY, sop_instance_uid="1.5.1")


def with_study(**elements: object) -> bytes:
    """Return an image of the study; None removes an element."""

    def change(dataset: FileDataset) -> None:
        dataset.StudyInstanceUID, dataset.SOPInstanceUID = STUDY, "1.5.1"
        for keyword, value in elements.items():
            if value is None:
                dataset.pop(keyword, None)
            else:
                setattr(dataset, keyword, value)

    return modified_phantom(1, change)


def item(uid: str) -> list[Dataset]:
    """Return a sequence of one item."""
    entry = Dataset()
    entry.UniversalEntityID, entry.UniversalEntityIDType = uid, "ISO"
    return [entry]


def built(*results: ReportableResult, source: bytes | None = None, marked: bool = True, **fields: Any) -> Dataset:
    """Build the third report of the study, and read it as a receiver does."""
    study = StudyResults(
        study_instance_uid=STUDY, results=results, images=len(results), nameless=0, patients=1, without_result=0
    )
    moment = datetime(2026, 11, 5, 22, 8, 9, tzinfo=UTC)
    values = {"sop_instance_uid": "2.25.9", "replaces": None, "number": 3, "made_at": moment} | fields
    identity = identity_of(with_study() if source is None else source)
    report = build_report(study, Revision(**values), identity, not_for_diagnosis=marked)
    return pydicom.dcmread(io.BytesIO(file_bytes(report)))


def test_the_report_is_one_instance_of_its_own_series() -> None:
    """The series number is higher than those of modalities, so that viewers list it last."""
    report = built(result(1))
    assert (report.SOPInstanceUID, report.InstanceNumber, report.SeriesNumber) == ("2.25.9", 3, 9900)
    assert report.SOPClassUID == report.file_meta.MediaStorageSOPClassUID == "1.2.840.10008.5.1.4.1.1.88.34"
    assert (report.StudyInstanceUID, report.Modality) == (STUDY, "SR")
    assert report.SeriesInstanceUID not in {"1.4", built(result(1), sop_instance_uid="2.25.9").SOPInstanceUID}


def test_the_maker_of_the_report_is_nightread() -> None:
    """Its release is the software version; the file meta information names the implementation."""
    report = built(result(1))
    assert (report.Manufacturer, report.ManufacturerModelName) == ("nightread", "nightread")
    assert report.SoftwareVersions == __version__
    assert report.file_meta.ImplementationClassUID == "2.25.114582693106495225512707587987074980923"
    assert report.file_meta.ImplementationVersionName == "NIGHTREAD"
    assert report.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"


@pytest.mark.parametrize(("marked", "words"), [(True, "AI - NOT FOR DIAGNOSIS"), (False, "AI results")])
def test_the_series_says_what_it_is_for(marked: bool, words: str) -> None:
    """The first sentence of the comment says it too, if the results are not for diagnosis."""
    report = built(result(1), marked=marked)
    assert report.SeriesDescription == words
    assert report.ContentSequence[-1].TextValue.startswith("AI - NOT FOR DIAGNOSIS") is marked


def test_the_labels_scheme_is_declared_in_the_report() -> None:
    """A receiver can look up who defined it."""
    schemes = {one.CodingSchemeDesignator for one in built(result(1)).CodingSchemeIdentificationSequence}
    assert "99NIGHTREAD" in schemes


def test_a_revision_names_the_report_that_it_replaces() -> None:
    """The first report names none."""
    assert "PredecessorDocumentsSequence" not in built(result(1))
    report = built(result(1), replaces="2.25.8")
    (study,) = report.PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    (document,) = series.ReferencedSOPSequence
    assert (study.StudyInstanceUID, series.SeriesInstanceUID) == (STUDY, report.SeriesInstanceUID)
    assert document.ReferencedSOPInstanceUID == "2.25.8"
    assert document.ReferencedSOPClassUID == "1.2.840.10008.5.1.4.1.1.88.34"


def test_all_dates_are_that_of_the_revision() -> None:
    """The current time would make each attempt another file."""
    report = built(result(1))
    dates = (report.InstanceCreationDate, report.ContentDate, report.SeriesDate)
    times = (report.InstanceCreationTime, report.ContentTime, report.SeriesTime)
    assert (dates, times) == (("20261105",) * 3, ("220809",) * 3)
    assert [one.ContributionDateTime for one in report.ContributingEquipmentSequence] == ["20261105220809"] * 2


def test_each_image_is_evidence_with_its_series_and_class() -> None:
    """Two images of one series, and one of another."""
    report = built(result(1), result(2), result(3, series="1.6"))
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    found = {
        (series.SeriesInstanceUID, sop.ReferencedSOPInstanceUID, sop.ReferencedSOPClassUID)
        for series in study.ReferencedSeriesSequence
        for sop in series.ReferencedSOPSequence
    }
    assert study.StudyInstanceUID == STUDY
    assert found == {
        ("1.4", "1.5.1", "1.2.840.10008.5.1.4.1.1.1"),
        ("1.4", "1.5.2", "1.2.840.10008.5.1.4.1.1.2"),
        ("1.6", "1.5.3", "1.2.840.10008.5.1.4.1.1.3"),
    }


def test_a_study_without_results_has_no_report() -> None:
    """Its delivery ends before a report is built."""
    with pytest.raises(ValueError, match="no results"):
        built()


def test_the_file_begins_with_preamble_and_prefix() -> None:
    """PS3.10 section 7.1."""
    report = build_report(
        StudyResults(
            study_instance_uid=STUDY, results=(result(1),), images=1, nameless=0, patients=1, without_result=0
        ),
        Revision(sop_instance_uid="2.25.9", replaces=None, number=1, made_at=datetime(2026, 1, 1, tzinfo=UTC)),
        identity_of(with_study()),
        not_for_diagnosis=True,
    )
    del report.preamble
    assert file_bytes(report)[:132] == bytes(128) + b"DICM"


@pytest.mark.parametrize("label", ["nodule", "Rundherd, groß"], ids=["ASCII", "UTF-8"])
def test_every_element_of_patient_and_study_is_copied(label: str) -> None:
    """Whether values are copied as they were written or decoded, none is lost."""
    sequences = {keyword: item(uid) for keyword, uid in QUALIFIERS.items()}
    report = built(result(1, label=label), source=with_study(**IDENTIFYING, **sequences))
    assert {keyword: str(report[keyword].value) for keyword in IDENTIFYING} == IDENTIFYING
    assert {keyword: report[keyword].value[0].UniversalEntityID for keyword in QUALIFIERS} == QUALIFIERS


@pytest.mark.parametrize("label", ["nodule", "Rundherd, groß"], ids=["ASCII", "UTF-8"])
def test_required_elements_that_the_image_lacks_are_empty(label: str) -> None:
    """Type 2 elements are there without a value; the others are left out."""
    missing = dict.fromkeys((*IDENTIFYING, *QUALIFIERS, "SpecificCharacterSet"))
    report = built(result(1, label=label), source=with_study(**missing))
    required = set(IDENTIFYING) - {"IssuerOfPatientID"}
    assert {keyword for keyword in IDENTIFYING if keyword in report} == required
    assert [keyword for keyword in required if not report[keyword].is_empty] == []
    assert not any(keyword in report for keyword in QUALIFIERS)
    assert report.get("SpecificCharacterSet") == (None if label == "nodule" else "ISO_IR 192")
