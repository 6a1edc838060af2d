"""A study as CDs and notes bring it."""

import io
from collections.abc import Iterable
from pathlib import Path

import pydicom
from dicom_files import phantom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.fileset import FileSet
from pydicom.uid import ExplicitVRLittleEndian, KeyObjectSelectionDocumentStorage, generate_uid

QUALITY = "113001"


def scan_of(study: str, index: int) -> bytes:
    """A phantom of this study, with all that a DICOMDIR wants to know."""
    dataset = pydicom.dcmread(io.BytesIO(phantom(index)))
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, f"{study}.1"
    dataset.PatientID, dataset.PatientName, dataset.StudyID = "1", "", "1"
    dataset.StudyDate, dataset.StudyTime, dataset.AccessionNumber = "20261105", "200000", ""
    dataset.SeriesNumber, dataset.InstanceNumber = 1, index
    return _written(dataset)


def uid_of(scan: bytes) -> str:
    """SOP Instance UID."""
    return str(pydicom.dcmread(io.BytesIO(scan)).SOPInstanceUID)


def disc(folder: Path, scans: Iterable[bytes]) -> dict[str, bytes]:
    """Files of a CD by their paths on it, DICOMDIR included; `folder` is where it is put together."""
    files = FileSet()
    for scan in scans:
        files.add(pydicom.dcmread(io.BytesIO(scan)))
    files.write(folder)
    files._stage["t"].cleanup()  # which pydicom leaves to the garbage collector
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def note(
    study: str, rejected: Iterable[str], *, code: str = QUALITY, scheme: str = "DCM", evidence: str | None = None
) -> bytes:
    """A key object note of this study that speaks of these SOP instances, which are of the study `evidence`."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = KeyObjectSelectionDocumentStorage, generate_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.Modality = study, generate_uid(), "KO"
    dataset.PatientID, dataset.ValueType = "1", "CONTAINER"
    title = Dataset()
    title.CodeValue, title.CodingSchemeDesignator, title.CodeMeaning = code, scheme, "Rejected"
    dataset.ConceptNameCodeSequence = [title]
    series = Dataset()
    series.SeriesInstanceUID, series.ReferencedSOPSequence = f"{study}.1", [_reference(uid) for uid in rejected]
    item = Dataset()
    item.StudyInstanceUID, item.ReferencedSeriesSequence = evidence or study, [series]
    dataset.CurrentRequestedProcedureEvidenceSequence = [item]
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return _written(FileDataset(None, dataset, preamble=b"\0" * 128, file_meta=meta))


def _reference(uid: str) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.1", uid
    return reference


def _written(dataset: Dataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()
