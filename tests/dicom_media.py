"""Make the files of a CD with a DICOMDIR, and key object notes."""

import io
from collections.abc import Iterable
from pathlib import Path

import pydicom
from dicom_files import phantom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.fileset import FileSet
from pydicom.uid import ExplicitVRLittleEndian, KeyObjectSelectionDocumentStorage, generate_uid

QUALITY = "113001"


def scan_of_study(study: str, index: int) -> bytes:
    """Return a phantom of this study, with all elements that a DICOMDIR requires."""
    dataset = pydicom.dcmread(io.BytesIO(phantom(index)))
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, f"{study}.1"
    dataset.PatientID, dataset.PatientName, dataset.StudyID = "1", "", "1"
    dataset.StudyDate, dataset.StudyTime, dataset.AccessionNumber = "20261105", "200000", ""
    dataset.SeriesNumber, dataset.InstanceNumber = 1, index
    return _written(dataset)


def sop_instance_uid(scan: bytes) -> str:
    """Return the SOP Instance UID of a file."""
    return str(pydicom.dcmread(io.BytesIO(scan)).SOPInstanceUID)


def cd_files(folder: Path, scans: Iterable[bytes]) -> dict[str, bytes]:
    """Return the files of a CD by path, including the DICOMDIR. They are assembled in `folder`."""
    files = FileSet()
    for scan in scans:
        files.add(pydicom.dcmread(io.BytesIO(scan)))
    files.write(folder)
    files._stage["t"].cleanup()  # which pydicom leaves to the garbage collector
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def rejection_note(
    study: str, rejected: Iterable[str], *, code: str = QUALITY, scheme: str = "DCM", evidence: str | None = None
) -> bytes:
    """Return a key object note of this study that names these SOP instances of the study `evidence`."""
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
