"""Make lookup tables, and prepare the pixels of a file by its VOI."""

import struct
from typing import Any

from pydicom.dataset import Dataset

from imaging.prepare import prepare
from imaging.read import read
from imaging.remarks import Remarks
from imaging.spec import InputSpec, Intensity


def shown(data: bytes, **intensity: Any) -> tuple[list[float], Remarks]:
    """Return the prepared row of pixels, and the remarks on the image."""
    image = read(data)
    (frame,) = image.frames()
    rows, columns = frame.stored.shape[:2]
    spec = InputSpec(height=rows, width=columns, channels=1, intensity=Intensity(kind="voi", **intensity))
    return prepare(frame, spec).reshape(-1).tolist(), image.remarks


def lut(descriptor: list[int], data: bytes | None, *, vr: str = "US") -> Dataset:
    """Return an item of a LUT sequence; the first mapped value is written with this VR."""
    item = Dataset()
    if descriptor:
        item.add_new("LUTDescriptor", vr, descriptor)
    if data is not None:
        item.add_new("LUTData", "OW", data)
    return item


def words(*values: int) -> bytes:
    """Return little endian 16-bit words."""
    return struct.pack(f"<{len(values)}H", *values)


def with_texts(data: bytes, center: bytes, width: bytes) -> bytes:
    """Replace the eight characters of the window's center and width."""
    return data.replace(b"11111111", center.ljust(8), 1).replace(b"22222222", width.ljust(8), 1)
