"""Define a factory of valid DICOM files: a test names only the elements that matter to it."""

import io
from typing import Any

import numpy as np
import pytest
from dicom_files import MakeDicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian


def build(
    pixels: np.ndarray[Any, np.dtype[Any]] | bytes | None = None,
    *,
    syntax: UID = ExplicitVRLittleEndian,
    frames: list[bytes] | None = None,
    **elements: Any,
) -> bytes:
    """Return the bytes of a CT image; `elements` replaces values by keyword, and None removes an element."""
    if pixels is None:
        pixels = np.arange(16 * 12, dtype=np.uint16).reshape(16, 12)
    dataset = Dataset()
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = "1.2.3.4"
    dataset.SeriesInstanceUID = "1.2.3"
    dataset.StudyInstanceUID = "1.2"
    dataset.StudyDate = "20261110"
    dataset.Modality = "CT"
    dataset.PatientName = "Doe^Jane"
    dataset.PatientID = "12345"
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    if not isinstance(pixels, bytes):
        dataset.Rows, dataset.Columns = pixels.shape[:2]
        dataset.BitsAllocated = dataset.BitsStored = pixels.dtype.itemsize * 8
        dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.HighBit = 15
    dataset.PixelData = pixels if isinstance(pixels, bytes) else pixels.tobytes()
    if frames is not None:
        dataset.PixelData = encapsulate(frames)
    dataset["PixelData"].VR = "OB" if frames is not None else "OW"
    for keyword, value in elements.items():
        if value is None:
            del dataset[keyword]
        else:
            setattr(dataset, keyword, value)
    return saved(dataset, syntax)


def saved(dataset: Dataset, syntax: UID) -> bytes:
    """Return the bytes of a complete file."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


@pytest.fixture
def make_dicom() -> MakeDicom:
    """The factory `build`."""
    return build
