"""Build the test object that `nightread doctor --peers` stores at a destination that allows it."""

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from delivery.report import SOP_CLASS
from imaging.own_results import MAKER
from nightread import __version__
from nightread.implementation import IMPLEMENTATION_CLASS_UID
from nightread.sources import Destination
from nightread.uids import own_series_uid, stable_uid

_NAME = "NIGHTREAD^TEST"
_NUMBER = "NIGHTREAD-TEST"
_TEXT = "TEST OBJECT OF NIGHTREAD, NO PATIENT, NOT FOR DIAGNOSIS"
_DATE, _TIME = "20000101", "000000"
_PIXELS = 8


def trial_object(destination: Destination) -> Dataset | None:
    """Return a report if the destination gets reports, else a picture if it gets pictures, else None.

    It is always the same object of the same invented patient, so that a store keeps only one copy of it.
    """
    if {"report", "regions"} & set(destination.objects):
        return _report()
    return _picture() if "key_image" in destination.objects else None


def _report() -> Dataset:
    """Return a structured report with one text (DICOM PS3.3, section A.35.13)."""
    report = _common(SOP_CLASS, "report", "SR")
    report.ReferencedPerformedProcedureStepSequence = []
    report.PerformedProcedureCodeSequence = []
    report.InstanceNumber = 1
    report.ContentDate, report.ContentTime = _DATE, _TIME
    report.CompletionFlag, report.VerificationFlag, report.PreliminaryFlag = "PARTIAL", "UNVERIFIED", "PRELIMINARY"
    report.ValueType, report.ContinuityOfContent = "CONTAINER", "SEPARATE"
    report.ConceptNameCodeSequence = [_code("18748-4", "LN", "Diagnostic imaging report")]
    text = Dataset()
    text.RelationshipType, text.ValueType = "CONTAINS", "TEXT"
    text.ConceptNameCodeSequence = [_code("121106", "DCM", "Comment")]
    text.TextValue = _TEXT
    report.ContentSequence = [text]
    return report


def _picture() -> Dataset:
    """Return a black secondary capture of 8 times 8 pixels (DICOM PS3.3, section A.8.1)."""
    picture = _common(SecondaryCaptureImageStorage, "picture", "OT")
    picture.InstanceNumber = 1
    picture.ImageType = ["DERIVED", "SECONDARY"]
    picture.PatientOrientation = ""
    picture.ConversionType = "SYN"
    picture.BurnedInAnnotation = "NO"
    picture.Rows = picture.Columns = _PIXELS
    picture.SamplesPerPixel, picture.PhotometricInterpretation = 1, "MONOCHROME2"
    picture.BitsAllocated = picture.BitsStored = 8
    picture.HighBit, picture.PixelRepresentation = 7, 0
    picture.PixelData = bytes(_PIXELS * _PIXELS)
    return picture


def _common(sop_class: str, kind: str, modality: str) -> Dataset:
    study = stable_uid("trial study")
    found = Dataset()
    found.SOPClassUID, found.SOPInstanceUID = sop_class, stable_uid("trial", kind, __version__)
    found.StudyInstanceUID, found.SeriesInstanceUID = study, own_series_uid("series", study)
    found.PatientName, found.PatientID, found.PatientBirthDate, found.PatientSex = _NAME, _NUMBER, "", ""
    found.StudyDate, found.StudyTime, found.AccessionNumber, found.ReferringPhysicianName = _DATE, _TIME, "", ""
    found.StudyID, found.StudyDescription, found.SeriesDescription = "TEST", _TEXT, _TEXT
    found.SeriesNumber, found.Modality = 1, modality
    found.Manufacturer = found.ManufacturerModelName = MAKER
    found.DeviceSerialNumber, found.SoftwareVersions = "0", __version__
    found.file_meta = FileMetaDataset()
    found.file_meta.MediaStorageSOPClassUID = sop_class
    found.file_meta.MediaStorageSOPInstanceUID = found.SOPInstanceUID
    found.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    found.file_meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    found.file_meta.ImplementationVersionName = MAKER.upper()
    return found


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code
