"""DICOM files as they should not be, made of phantoms."""

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
    """A good scan; another one for each index."""
    return phantom_file(seed=SEED, index=index, style=style)[0]


def changed(index: int, change: Callable[[FileDataset], object]) -> bytes:
    """A phantom after `change`, written without any check of its values."""
    with disable_value_validation():
        dataset = pydicom.dcmread(io.BytesIO(phantom(index)))
        change(dataset)
        return _written(dataset)


def with_values(index: int, **values: Any) -> bytes:
    """A phantom with other values of the elements of these keywords."""
    return changed(index, lambda dataset: [setattr(dataset, name, value) for name, value in values.items()])


def cine(index: int, frames: int) -> bytes:
    """A scan that takes a core some 50 ms a frame; another one for each index."""
    still = pydicom.dcmread(io.BytesIO(phantom(index, PhantomStyle(size=768, bits=8, syntax="jpeg2000"))))
    frame = next(generate_frames(still.PixelData, number_of_frames=1))
    still.NumberOfFrames, still.PixelData = frames, encapsulate([frame] * frames)
    return _written(still)


def without_pixels(index: int) -> bytes:
    """An image object that has no pixel data."""
    return changed(index, lambda dataset: dataset.__delattr__("PixelData"))


def in_syntax(index: int, syntax: str) -> bytes:
    """A phantom that claims this transfer syntax."""
    return changed(index, lambda dataset: setattr(dataset.file_meta, "TransferSyntaxUID", syntax))


def non_image(sop_class: str, modality: str) -> bytes:
    """An object without image."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.Modality = sop_class, generate_uid(), modality
    dataset.PatientID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1", generate_uid(), generate_uid()
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return _written(FileDataset(None, dataset, preamble=b"\0" * 128, file_meta=meta))


def report() -> bytes:
    """A structured report."""
    return non_image(BasicTextSRStorage, "SR")


def structures() -> bytes:
    """A radiotherapy structure set."""
    return non_image(RTStructureSetStorage, "RTSTRUCT")


def directory() -> bytes:
    """A DICOMDIR."""
    return non_image(MediaStorageDirectoryStorage, "")


def _written(dataset: FileDataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=False)
    return buffer.getvalue()
