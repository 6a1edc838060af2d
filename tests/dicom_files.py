"""Make DICOM files for tests from phantoms, valid and invalid."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pydicom
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    BasicTextSRStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    MediaStorageDirectoryStorage,
    RTStructureSetStorage,
    generate_uid,
)

from models.phantoms.dicom import PhantomStyle, phantom_file

MakeDicom = Callable[..., bytes]
"""The fixture `make_dicom` of the imaging tests: it returns a DICOM file with the elements that a test names."""

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


def as_rgb(index: int, *, tint: int = 0) -> bytes:
    """Return a phantom that is stored as RGB, with this much more red than green and blue."""

    def change(dataset: FileDataset) -> None:
        grey = (dataset.pixel_array >> 4).astype(np.uint8)
        red = np.minimum(grey.astype(int) + tint, 255).astype(np.uint8)
        dataset.PixelData = np.stack([red, grey, grey], axis=-1).tobytes()
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7

    return modified_phantom(index, change)


def darkened(index: int, share: float) -> bytes:
    """Return a phantom whose pixels have only this share of their brightness, with the window of the bright one."""

    def change(dataset: FileDataset) -> None:
        dataset.PixelData = (dataset.pixel_array * share).astype(np.uint16).tobytes()

    return modified_phantom(index, change)


def flickering(index: int, colours: list[bool]) -> bytes:
    """Return an RGB object whose frames are black, or red where `colours` is True."""

    def change(dataset: FileDataset) -> None:
        frames = np.zeros((len(colours), dataset.Rows, dataset.Columns, 3), np.uint8)
        frames[colours, ..., 0] = 200
        dataset.NumberOfFrames, dataset.PixelData = len(colours), frames.tobytes()
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7

    return modified_phantom(index, change)


def damaged(index: int, modality: str = "DX") -> bytes:
    """Return a JPEG 2000 phantom without anything behind the first marker of its codestream."""

    def change(dataset: FileDataset) -> None:
        dataset.Modality, dataset.file_meta.TransferSyntaxUID = modality, JPEG2000Lossless
        dataset.PixelData = encapsulate([b"\xff\x4f" + bytes(200)])
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True

    return modified_phantom(index, change)


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
