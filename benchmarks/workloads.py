"""Write folders of DICOM files for benchmarks: phantoms, each with its own SOP Instance UID."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom

from models.phantoms.dicom import PhantomStyle, phantom_file

_SEED = 7
_DIGITS = 6
_CINE_FRAMES = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Workload:
    """The content of a folder."""

    name: str
    images: int
    """Number of files; a run takes 3 to 8 seconds on two cores."""
    style: PhantomStyle
    drawn: int = 24
    """Number of different pictures. Further files repeat these pictures with other SOP Instance UIDs."""
    frames: int = 1
    reshape: Callable[[bytes], bytes] = bytes
    """Changes the bytes of a phantom file into a form that phantoms do not have."""
    batch: int = 64
    """Number of files that the baseline loops read before they call the network."""


def write(workload: Workload, folder: Path, images: int, *, first: int = 0) -> list[Path]:
    """Write `images` files of this workload; files and their SOP Instance UIDs are numbered from `first`."""
    folder.mkdir(parents=True)
    pictures = [
        phantom_file(seed=_SEED, index=index, style=workload.style) for index in range(min(workload.drawn, images))
    ]
    drawn = [(workload.reshape(data), truth.sop_instance_uid.encode()) for data, truth in pictures]
    written = []
    for number in range(first, first + images):
        data, uid = drawn[number % len(drawn)]
        written.append(folder / f"{number:06d}.dcm")
        written[-1].write_bytes(data.replace(uid, uid[:-_DIGITS] + b"%0*d" % (_DIGITS, number)))
    return written


def _portrait(data: bytes) -> bytes:
    """Cut out the middle 2,000 columns of a square film, which is the shape of a chest film of a digital detector."""
    dataset = pydicom.dcmread(io.BytesIO(data))
    pixels = dataset.pixel_array[:, 250:2250]
    dataset.Columns, dataset.PixelData = pixels.shape[1], pixels.tobytes()
    return _as_bytes(dataset)


def _cine(data: bytes) -> bytes:
    """Repeat the film a hundred times in one object, each frame a little brighter, as in angiography.

    The header stays that of a chest film, because the bundle `phantom` accepts only chest films.
    """
    dataset = pydicom.dcmread(io.BytesIO(data))
    pixels = dataset.pixel_array
    frames = np.stack([np.minimum(pixels // 2 + number, 255) for number in range(_CINE_FRAMES)]).astype(np.uint8)
    dataset.NumberOfFrames, dataset.PixelData = _CINE_FRAMES, frames.tobytes()
    return _as_bytes(dataset)


def _as_bytes(dataset: pydicom.FileDataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _style(size: int, bits: int, syntax: str = "explicit") -> PhantomStyle:
    return PhantomStyle(size=size, bits=bits, syntax=syntax, monochrome1=False)


WARM_UP = Workload(name="warm-up", images=0, style=_style(64, 8))
WORKLOADS = {
    "28x28-8": Workload(name="28x28 8-bit", images=20_480, style=_style(28, 8)),
    "28x28-16": Workload(name="28x28 16-bit", images=20_480, style=_style(28, 16)),
    "ct": Workload(name="512x512 16-bit", images=6_144, style=_style(512, 16)),
    "ct-jpeg2000": Workload(name="512x512 12-bit JPEG 2000", images=512, style=_style(512, 12, "jpeg2000")),
    "ct-jpegls": Workload(name="512x512 12-bit JPEG-LS", images=1_280, style=_style(512, 12, "jpegls")),
    "radiograph": Workload(
        name="2,000x2,500 16-bit", images=512, style=_style(2500, 16), drawn=4, reshape=_portrait, batch=16
    ),
    "cine": Workload(
        name="100 frames of 512x512 8-bit",
        images=80,
        style=_style(512, 8),
        drawn=4,
        frames=_CINE_FRAMES,
        reshape=_cine,
        batch=1,
    ),
}
