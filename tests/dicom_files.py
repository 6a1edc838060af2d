"""Make DICOM files for tests from phantoms, valid and invalid."""

import io
from collections.abc import Callable
from typing import Any

import pydicom
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    BasicTextSRStorage,
    ExplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
    RTStructureSetStorage,
    generate_uid,
)

from models.phantoms.dicom import PhantomStyle, phantom_file

PLAIN = PhantomStyle(size=64, bits=12, syntax="explicit", monochrome1=False)
SEED = 77


def phantom(index: int, style: PhantomStyle = PLAIN) -> bytes:
    """Return a valid image; each index gives another one."""
    return phantom_file(seed=SEED, index=index, style=style)[0]


def modified_phantom(index: int, change: Callable[[FileDataset], object]) -> bytes:
    """Return a phantom after `change`, written without validation of its values."""
    with disable_value_validation():
        dataset = pydicom.dcmread(io.BytesIO(phantom(index)))
        change(dataset)
        return _written(dataset)


def with_values(index: int, **values: Any) -> bytes:
    """Return a phantom with these values of elements, by keyword."""
    return modified_phantom(index, lambda dataset: [setattr(dataset, name, value) for name, value in values.items()])


def cine(index: int, frames: int) -> bytes:
    """Return a multi-frame image that takes one core about 50 ms per frame; each index gives another one."""
    still = pydicom.dcmread(io.BytesIO(phantom(index, PhantomStyle(size=768, bits=8, syntax="jpeg2000"))))
    frame = next(generate_frames(still.PixelData, number_of_frames=1))
    still.NumberOfFrames, still.PixelData = frames, encapsulate([frame] * frames)
    return _written(still)


def without_pixels(index: int) -> bytes:
    """Return an object of an image class without pixel data."""
    return modified_phantom(index, lambda dataset: dataset.__delattr__("PixelData"))


def in_syntax(index: int, syntax: str) -> bytes:
    """Return a phantom that declares this transfer syntax without being encoded in it."""
    return modified_phantom(index, lambda dataset: setattr(dataset.file_meta, "TransferSyntaxUID", syntax))


def non_image(sop_class: str, modality: str) -> bytes:
    """Return a DICOM object of this SOP class without an image."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.Modality = sop_class, generate_uid(), modality
    dataset.PatientID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1", generate_uid(), generate_uid()
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return _written(FileDataset(None, dataset, preamble=b"\0" * 128, file_meta=meta))


def structured_report() -> bytes:
    """Return a structured report."""
    return non_image(BasicTextSRStorage, "SR")


def structure_set() -> bytes:
    """Return a radiotherapy structure set."""
    return non_image(RTStructureSetStorage, "RTSTRUCT")


def dicomdir() -> bytes:
    """Return a DICOMDIR."""
    return non_image(MediaStorageDirectoryStorage, "")


def _written(dataset: FileDataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=False)
    return buffer.getvalue()
