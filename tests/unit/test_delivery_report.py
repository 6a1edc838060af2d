"""Content and identity of reports."""

import io
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import highdicom
import pydicom
import pytest
from dicom_files import modified_phantom, phantom
from pydicom.dataset import Dataset, FileDataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from db.queries import ReportableResult, ReportedBundle, StudyResults
from delivery.codes import label_code, procedures
from delivery.content import content_digest
from delivery.identity import UnreadableHeaderError, read_identity
from delivery.report import Revision, build_report, file_bytes
from delivery.template_items import device_uid

BUNDLE = ReportedBundle(name="phantom", version="1.0", digest="d" * 64, normal_label="normal")
PHANTOM = pydicom.dcmread(io.BytesIO(phantom(1)))
RESULT = ReportableResult(
    image_id=1,
    sop_instance_uid=str(PHANTOM.SOPInstanceUID),
    sop_class_uid=str(PHANTOM.SOPClassUID),
    series_instance_uid=str(PHANTOM.SeriesInstanceUID),
    modality="DX",
    label="nodule",
    score=0.875,
    frames=(),
    bundle=BUNDLE,
)
REVISION = Revision(sop_instance_uid="2.25.1", replaces=None, number=1, made_at=datetime(2026, 11, 5, 22, tzinfo=UTC))


def study(*results: ReportableResult, **fields: Any) -> StudyResults:
    """Return a study of these images; keywords set other fields."""
    values = {"images": len(results), "without_result": 0, "nameless": 0, "patients": 1} | fields
    return StudyResults(study_instance_uid=str(PHANTOM.StudyInstanceUID), results=results, **values)


def report(
    *results: ReportableResult, source: bytes | None = None, revision: Revision = REVISION, **fields: Any
) -> Dataset:
    """Build a report, and read it as a receiver does."""
    identity = read_identity(
        phantom(1) if source is None else source,
        study_instance_uid=str(PHANTOM.StudyInstanceUID),
        sop_instance_uid=str(PHANTOM.SOPInstanceUID),
    )
    built = build_report(study(*results, **fields), revision, identity, not_for_diagnosis=True)
    return pydicom.dcmread(io.BytesIO(file_bytes(built)))


def groups(of: Dataset) -> list[Any]:
    """Return the measurement groups, as highdicom reads them."""
    buffer = io.BytesIO()
    of.save_as(buffer)
    return list(highdicom.sr.srread(io.BytesIO(buffer.getvalue())).content.get_image_measurement_groups())


def evaluations(group: Any) -> list[Any]:
    """Return the evaluations of findings, without the algorithm family, which highdicom also lists."""
    return [one for one in group.get_qualitative_evaluations() if one.name != codes.DCM.AlgorithmFamily]


def test_a_group_holds_label_score_and_bundle() -> None:
    """Codes come from the standard where it has them; the label has the scheme 99NIGHTREAD."""
    (group,) = groups(report(RESULT))

    (probability,) = group.get_measurements()
    (evaluation,) = evaluations(group)
    assert (probability.name, probability.value, probability.unit) == (
        codes.DCM.Probability,
        0.875,
        codes.UCUM.NoUnits,
    )
    assert (evaluation.name, evaluation.value) == (label_code("nodule"), codes.SCT.Present)
    assert (group.finding_type.scheme_designator, group.finding_type.value) == ("99NIGHTREAD", "nodule")
    assert group.tracking_identifier == "image 1"
    said = {item.name.meaning: item.value for item in group[0].ContentSequence if item.ValueType == "TEXT"}
    assert said["Algorithm Name"] == "phantom"
    assert said["Algorithm Version"] == "1.0"
    assert said["Algorithm Parameters"] == f"bundle sha256:{BUNDLE.digest}"


def test_an_image_without_findings_is_reported_as_such() -> None:
    """This holds for an image with the normal label, and for one without a label, which has no probability."""
    normal, nothing = groups(report(replace(RESULT, label="normal"), replace(RESULT, label=None, image_id=2)))

    assert [evaluation.value for group in (normal, nothing) for evaluation in evaluations(group)] == [
        codes.SCT.Absent
    ] * 2
    assert normal.finding_type.meaning == "normal"
    assert nothing.finding_type is None
    assert nothing.get_measurements() == []


def test_the_observer_is_the_bundle() -> None:
    """Its UID follows from the digest, so that all results of one bundle can be found."""
    other = replace(BUNDLE, digest="e" * 64, version="2.0")
    of = report(RESULT, replace(RESULT, bundle=other))

    observers = [
        item.UID for item in of.ContentSequence if item.ConceptNameCodeSequence[0].CodeMeaning == "Device Observer UID"
    ]
    assert observers == [device_uid(BUNDLE), device_uid(other)]
    assert device_uid(BUNDLE) == "2.25.52457458169268490376049208182135580697"


def test_a_group_names_the_frames_of_its_label() -> None:
    """Frames are counted from 1; no frame number means the whole image."""
    some, whole = groups(report(replace(RESULT, frames=(3, 7)), RESULT))

    assert some.source_images[0].referenced_frame_numbers == [3, 7]
    assert whole.source_images[0].referenced_frame_numbers is None


def test_images_without_a_result_are_counted() -> None:
    """They are counted in the comment and set the completion flag."""
    of = report(RESULT, without_result=2)

    comment = of.ContentSequence[-1].TextValue
    assert comment == "AI - NOT FOR DIAGNOSIS. 1 of 3 images analysed. Found: nodule (1)."
    assert of.CompletionFlag == "PARTIAL"
    assert report(RESULT).CompletionFlag == "COMPLETE"


def test_the_same_revision_is_the_same_file() -> None:
    """A report that is sent again after a crash is the same document."""
    assert report(RESULT) == report(RESULT)


def test_the_digest_depends_on_the_content_only() -> None:
    """It does not depend on image ids or on the order of the images."""
    other = replace(RESULT, sop_instance_uid="1.2.3")
    digest = content_digest(study(RESULT, other), not_for_diagnosis=True)

    assert digest == content_digest(study(other, replace(RESULT, image_id=9)), not_for_diagnosis=True)
    others = {
        content_digest(study(RESULT, other), not_for_diagnosis=False),
        content_digest(study(RESULT, replace(other, score=0.5)), not_for_diagnosis=True),
        content_digest(study(RESULT, replace(other, bundle=replace(BUNDLE, digest="e" * 64))), not_for_diagnosis=True),
        content_digest(study(RESULT, other, without_result=1), not_for_diagnosis=True),
    }
    assert len(others - {digest}) == 4


@pytest.mark.parametrize(
    ("characters", "name"),
    [
        ("ISO_IR 100", "Müller^Jörg"),
        ("ISO_IR 192", "Müller^Jörg=山田"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
    ],
)
def test_a_name_keeps_its_bytes(characters: str | list[str], name: str) -> None:
    """The report has the character set of the source, in which the store already has the name."""

    def change(dataset: FileDataset) -> None:
        dataset.SpecificCharacterSet, dataset.PatientName = characters, name

    source = modified_phantom(1, change)
    of = report(RESULT, source=source)

    assert of.get_item("PatientName").value == pydicom.dcmread(io.BytesIO(source)).get_item("PatientName").value
    assert of.PatientName == name


def test_a_label_outside_of_ascii_makes_the_report_utf_8() -> None:
    """Name and label are both unchanged."""
    source = _with(SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jörg")

    of = report(replace(RESULT, label="Rundherd, groß"), source=source)

    (group,) = groups(of)
    assert of.SpecificCharacterSet == "ISO_IR 192"
    assert of.PatientName == "Müller^Jörg"
    assert group.finding_type.meaning == "Rundherd, groß"


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_identity_is_read_from_any_encoding(syntax: str) -> None:
    """The report is always in Explicit VR Little Endian."""
    dataset = pydicom.dcmread(io.BytesIO(_with(SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jörg")))
    dataset.IssuerOfAccessionNumberSequence = [Dataset()]
    dataset.IssuerOfAccessionNumberSequence[0].LocalNamespaceEntityID = "RIS"
    dataset.remove_private_tags()
    dataset.file_meta.TransferSyntaxUID = syntax
    buffer = io.BytesIO()
    del dataset.PixelData
    little = syntax != ExplicitVRBigEndian
    pydicom.dcmwrite(
        buffer, dataset, force_encoding=True, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=little
    )

    of = report(RESULT, source=buffer.getvalue())

    assert (of.PatientName, of.PatientID) == ("Müller^Jörg", PHANTOM.PatientID)
    assert of.IssuerOfAccessionNumberSequence[0].LocalNamespaceEntityID == "RIS"
    assert of.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"


@pytest.mark.filterwarnings("ignore")
def test_unusual_values_are_copied_unchanged() -> None:
    """Values of a patient are not corrected; missing required elements are empty."""
    odd: dict[str, Any] = {"PatientSex": "female", "PatientBirthDate": "19XX", "StudyTime": "25:61"}

    def change(dataset: FileDataset) -> None:
        for keyword, value in odd.items():
            setattr(dataset, keyword, value)
        del dataset.StudyID

    of = report(replace(RESULT, sop_class_uid="1.2.276.99"), source=modified_phantom(1, change))

    assert {keyword: of[keyword].value for keyword in odd} == odd
    assert of["StudyID"].is_empty
    series = of.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    assert series.ReferencedSOPSequence[0].ReferencedSOPClassUID == "1.2.276.99"


@pytest.mark.parametrize("content", [b"", b"no DICOM at all, but long enough for a preamble" * 4, phantom(2)])
def test_another_file_gives_no_identity(content: bytes) -> None:
    """The file of an image may have been replaced by any other file."""
    with pytest.raises(UnreadableHeaderError):
        report(RESULT, source=content)


def test_an_identity_shows_nothing() -> None:
    """Its text is empty even if an error prints it."""
    identity = read_identity(
        phantom(1),
        study_instance_uid=str(PHANTOM.StudyInstanceUID),
        sop_instance_uid=str(PHANTOM.SOPInstanceUID),
    )
    assert f"{identity} {identity!r}" == "Identity() Identity()"


@pytest.mark.parametrize("label", ["a label of seventeen", "Ödem", " edge", "back\\slash", "x" * 100])
def test_a_label_that_is_no_valid_code_gets_one(label: str) -> None:
    """The code has at most 16 characters and is always the same; the meaning is readable."""
    code = label_code(label)

    assert code == label_code(label)
    assert code.value.startswith("#")
    assert (len(code.value), code.meaning) == (16, label.replace("\\", "/")[:64])


def test_procedures_follow_from_modalities() -> None:
    """Each code appears once; other modalities give `Imaging procedure`."""
    assert [code.meaning for code in procedures(["CR", "DX", None, "OT"])] == [
        "XR unspecified body region",
        "Imaging procedure",
    ]


def _with(**values: object) -> bytes:
    def change(dataset: FileDataset) -> None:
        for keyword, value in values.items():
            setattr(dataset, keyword, value)

    return modified_phantom(1, change)
