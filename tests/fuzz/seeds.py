"""Provide the files to mutate: generated ones, and real ones if `../shared` exists."""

import csv
from functools import cache
from typing import Any, NamedTuple

import cv2
import imagecodecs
import numpy as np
from dicom_files import dicomdir, modified_phantom, phantom, structured_report
from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEGBaseline8Bit, JPEGLosslessSV1
from skip_reasons import SHARED_DATA

from imaging import tags
from models.phantoms.codecs import SYNTAXES
from models.phantoms.dicom import PhantomStyle

REAL_FILES = SHARED_DATA / "dicom"
_SIZE = 64


class Seed(NamedTuple):
    """A valid file."""

    name: str
    data: bytes


@cache
def seeds() -> tuple[Seed, ...]:
    """Return all files; the order is the same on each machine with the same real files."""
    return (*real_files(), *_generated_files())


@cache
def real_files() -> tuple[Seed, ...]:
    """Return all files that the manifest lists, or none if the folder does not exist."""
    manifest = REAL_FILES / "manifest.csv"
    if not manifest.exists():
        return ()
    names = sorted(row["path"] for row in csv.DictReader(manifest.read_text().splitlines()))
    return tuple(Seed(name, (REAL_FILES / name).read_bytes()) for name in names)


def _generated_files() -> tuple[Seed, ...]:
    styles = [(syntax, bits) for syntax in SYNTAXES for bits in (8, 12)]
    phantoms = [
        Seed(f"phantom-{syntax}-{bits}", phantom(at, PhantomStyle(size=_SIZE, bits=bits, syntax=syntax)))
        for at, (syntax, bits) in enumerate(styles)
    ]
    generated = {
        "deflated": modified_phantom(1, lambda dataset: _set_syntax(dataset, DeflatedExplicitVRLittleEndian)),
        "jpeg-rgb": modified_phantom(
            2, lambda dataset: _as_jpeg(dataset, bytes(imagecodecs.jpeg8_encode(_colours())), "YBR_FULL_422")
        ),
        "jpeg-lossless": modified_phantom(3, _as_lossless_jpeg),
        "planar-rgb": modified_phantom(4, _as_planar),
        "palette": modified_phantom(5, _as_palette),
        "enhanced": modified_phantom(6, _as_enhanced),
        "lookup-tables": modified_phantom(7, _add_tables),
        "report": structured_report(),
        "directory": dicomdir(),
        "picture-png": cv2.imencode(".png", _colours())[1].tobytes(),
        "picture-jpeg": cv2.imencode(".jpg", _colours())[1].tobytes(),
    }
    return (*phantoms, *(Seed(name, data) for name, data in generated.items()))


def _colours() -> Any:
    return np.random.default_rng(1).integers(0, 255, (_SIZE, _SIZE, 3), dtype=np.uint8)


def _set_syntax(dataset: FileDataset, syntax: str) -> None:
    dataset.file_meta.TransferSyntaxUID = syntax


def _as_colour(dataset: FileDataset, photometric: str, pixels: bytes) -> None:
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, photometric, 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PixelData = pixels
    dataset["PixelData"].VR = "OB"


def _as_jpeg(dataset: FileDataset, frame: bytes, photometric: str) -> None:
    _as_colour(dataset, photometric, encapsulate([frame]))
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit


def _as_lossless_jpeg(dataset: FileDataset) -> None:
    stored = np.frombuffer(dataset.PixelData, np.uint16).reshape(dataset.Rows, dataset.Columns)
    dataset.PixelData = encapsulate([imagecodecs.jpeg8_encode(stored, lossless=True, bitspersample=12)])
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = JPEGLosslessSV1


def _as_planar(dataset: FileDataset) -> None:
    dataset.Rows = dataset.Columns = _SIZE
    _as_colour(dataset, "RGB", np.moveaxis(_colours(), -1, 0).tobytes())
    dataset.PlanarConfiguration = 1


def _as_palette(dataset: FileDataset) -> None:
    dataset.PhotometricInterpretation = "PALETTE COLOR"
    segments = np.array([0, 2, 0, 900, 1, 127, 40_000, 2, 1, 2, 0, 1, 126, 65_535], np.uint16).tobytes()
    for descriptor, data in zip(tags.PALETTE_DESCRIPTORS, tags.SEGMENTED_PALETTE_DATA, strict=True):
        dataset.add_new(descriptor, "US", [256, 0, 16])
        dataset.add_new(data, "OW", segments)


def _as_enhanced(dataset: FileDataset) -> None:
    frames = 4
    dataset.NumberOfFrames, dataset.PixelData = frames, dataset.PixelData * frames
    dataset.SharedFunctionalGroupsSequence = Sequence([_group("PixelValueTransformationSequence", _rescale())])
    dataset.PerFrameFunctionalGroupsSequence = Sequence(
        [_group("FrameVOILUTSequence", _window(at)) for at in range(frames)]
    )
    del dataset.WindowCenter, dataset.RescaleSlope


def _add_tables(dataset: FileDataset) -> None:
    table = Dataset()
    table.add_new(tags.LUT_DESCRIPTOR, "US", [4096, 0, 16])
    table.add_new(tags.LUT_DATA, "OW", np.arange(4096, dtype=np.uint16).tobytes())
    dataset.ModalityLUTSequence = dataset.VOILUTSequence = Sequence([table])


def _group(keyword: str, item: Dataset) -> Dataset:
    group = Dataset()
    setattr(group, keyword, Sequence([item]))
    return group


def _rescale() -> Dataset:
    item = Dataset()
    item.RescaleSlope, item.RescaleIntercept, item.RescaleType = "1.5", "-1024", "HU"
    return item


def _window(frame: int) -> Dataset:
    item = Dataset()
    item.WindowCenter, item.WindowWidth = str(40 + frame), "400"
    return item
