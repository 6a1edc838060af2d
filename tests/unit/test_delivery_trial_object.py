"""The object that tests a destination is complete and valid: a report (PS3.3, A.35.13) or a picture (PS3.3, A.8.1)."""

import io
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from report_destinations import cstore_settings

from delivery.report import file_bytes
from delivery.trial_object import trial_object
from nightread import __version__

TEXT = "TEST OBJECT OF NIGHTREAD, NO PATIENT, NOT FOR DIAGNOSIS"
REPORT, PICTURE = "1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.7"
OF_EACH: dict[str, Any] = {
    "PatientName": "NIGHTREAD^TEST",
    "PatientID": "NIGHTREAD-TEST",
    "PatientBirthDate": "",
    "PatientSex": "",
    "StudyDate": "20000101",
    "StudyTime": "000000",
    "AccessionNumber": "",
    "ReferringPhysicianName": "",
    "StudyID": "TEST",
    "StudyDescription": TEXT,
    "SeriesDescription": TEXT,
    "SeriesNumber": 1,
    "InstanceNumber": 1,
    "Manufacturer": "nightread",
    "ManufacturerModelName": "nightread",
    "DeviceSerialNumber": "0",
    "SoftwareVersions": __version__,
}


def sent(*objects: str) -> Dataset:
    """Return the object for a destination that gets these objects, as the destination reads it."""
    built = trial_object(cstore_settings(104, objects=objects))
    assert built is not None
    return pydicom.dcmread(io.BytesIO(file_bytes(built)))


def values(instance: Dataset, *keywords: str) -> list[Any]:
    """Return the values of these elements, which must exist; an empty value is an empty text."""
    return ["" if instance[keyword].is_empty else instance[keyword].value for keyword in keywords]


@pytest.mark.parametrize(
    ("objects", "sop_class"),
    [
        (("report",), REPORT),
        (("regions",), REPORT),
        (("report", "key_image"), REPORT),
        (("key_image",), PICTURE),
        (("heat_map", "key_image"), PICTURE),
    ],
)
def test_the_object_is_of_a_kind_that_the_destination_gets(objects: tuple[str, ...], sop_class: str) -> None:
    """A report if it gets reports or regions, else a picture."""
    assert sent(*objects).SOPClassUID == sop_class


def test_a_destination_of_heat_maps_alone_gets_none() -> None:
    """Nothing harmless could be sent to it."""
    assert trial_object(cstore_settings(104, objects=("heat_map",))) is None


@pytest.mark.parametrize(("kind", "modality"), [("report", "SR"), ("key_image", "OT")])
def test_patient_study_series_and_equipment_are_invented(kind: str, modality: str) -> None:
    """Every element of type 1 and 2 exists, and the names say that there is no patient."""
    instance = sent(kind)
    assert values(instance, *OF_EACH) == list(OF_EACH.values())
    assert instance.Modality == modality


@pytest.mark.parametrize(("kind", "sop_class"), [("report", REPORT), ("key_image", PICTURE)])
def test_the_file_meta_information_is_that_of_the_object(kind: str, sop_class: str) -> None:
    """PS3.10, section 7.1: class and instance are those of the data set, in Explicit VR Little Endian."""
    instance = sent(kind)
    meta = instance.file_meta
    assert (meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID) == (sop_class, instance.SOPInstanceUID)
    assert meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert meta.ImplementationClassUID == "2.25.114582693106495225512707587987074980923"
    assert meta.ImplementationVersionName == "NIGHTREAD"


def test_the_meta_information_is_there_before_the_object_is_written() -> None:
    """A sender reads the transfer syntax from it."""
    built = trial_object(cstore_settings(104))
    assert built is not None
    assert built.file_meta.MediaStorageSOPClassUID == REPORT
    assert built.file_meta.MediaStorageSOPInstanceUID == built.SOPInstanceUID


def test_the_report_is_a_container_with_one_text() -> None:
    """PS3.3, C.17: a preliminary, unverified document without a procedure step."""
    report = sent("report")
    assert values(report, "ValueType", "ContinuityOfContent", "ContentDate", "ContentTime") == [
        "CONTAINER", "SEPARATE", "20000101", "000000"
    ]  # fmt: skip
    assert values(report, "CompletionFlag", "VerificationFlag", "PreliminaryFlag") == [
        "PARTIAL", "UNVERIFIED", "PRELIMINARY"
    ]  # fmt: skip
    assert values(report, "ReferencedPerformedProcedureStepSequence", "PerformedProcedureCodeSequence") == ["", ""]
    (title,) = report.ConceptNameCodeSequence
    assert (title.CodeValue, title.CodingSchemeDesignator, title.CodeMeaning) == (
        "18748-4", "LN", "Diagnostic imaging report"
    )  # fmt: skip
    (text,) = report.ContentSequence
    assert (text.RelationshipType, text.ValueType, text.TextValue) == ("CONTAINS", "TEXT", TEXT)
    (name,) = text.ConceptNameCodeSequence
    assert (name.CodeValue, name.CodingSchemeDesignator, name.CodeMeaning) == ("121106", "DCM", "Comment")


def test_the_picture_has_eight_by_eight_black_pixels() -> None:
    """PS3.3, C.7.6.3 and C.8.6.1: one unsigned byte per pixel, derived, synthetic, without burned-in text."""
    picture = sent("key_image")
    assert values(picture, "ImageType", "PatientOrientation", "ConversionType", "BurnedInAnnotation") == [
        ["DERIVED", "SECONDARY"], "", "SYN", "NO"
    ]  # fmt: skip
    assert values(picture, "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation") == [
        8,
        8,
        1,
        "MONOCHROME2",
    ]
    assert values(picture, "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation") == [8, 8, 7, 0]
    assert picture.PixelData == bytes(64)


def test_all_test_objects_share_a_study_and_stay_the_same() -> None:
    """A store keeps one copy of each."""
    report, picture = sent("report"), sent("key_image")
    assert report == sent("regions")
    assert report.StudyInstanceUID == picture.StudyInstanceUID
    assert report.SOPInstanceUID != picture.SOPInstanceUID
