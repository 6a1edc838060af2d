"""Build small files that take a thousand times their size, or much time, in a reader without limits."""

import struct
import zlib

import numpy as np
from dicom_files import in_syntax, modified_phantom, phantom, with_values
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate
from pydicom.uid import DeflatedExplicitVRLittleEndian

MiB = 1024**2
SEQUENCE, ITEM = b"\x09\x00\x10\x10SQ\x00\x00", b"\xfe\xff\x00\xe0"
OPENED = SEQUENCE + b"\xff" * 4
ITEM_END, SEQUENCE_END = b"\xfe\xff\x0d\xe0\0\0\0\0", b"\xfe\xff\xdd\xe0\0\0\0\0"
_IMAGE = phantom(1)
_PLACE = _IMAGE.index(b"\x28\x00\x02\x00US")
"""The position of SamplesPerPixel. Elements inserted there are not in the order of tags, which the reader accepts."""


def inserted(elements: bytes) -> bytes:
    """Insert bytes between the elements of a valid image."""
    return _IMAGE[:_PLACE] + elements + _IMAGE[_PLACE:]


def many_tiny(count: int) -> bytes:
    """Build private elements of eight bytes, all with different tags."""
    words = np.empty((count, 4), "<u2")
    words[:, 0], words[:, 1] = 9 + np.arange(count) // 60_000 * 2, 0x1000 + np.arange(count) % 60_000
    words[:, 2], words[:, 3] = int.from_bytes(b"LO", "little"), 0
    return words.tobytes()


def deflated(start: bytes, *, zeros: int) -> bytes:
    """Build a deflated data set that begins with `start` and continues with zeros, 1/1000 of their size."""
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    head = packer.compress(start) + packer.flush(zlib.Z_FULL_FLUSH)
    chunk = packer.compress(bytes(16 * MiB)) + packer.flush(zlib.Z_FULL_FLUSH)
    meta = in_syntax(1, DeflatedExplicitVRLittleEndian)
    meta_end = 144 + struct.unpack_from("<I", meta, 140)[0]
    return meta[:meta_end] + head + chunk * (zeros // (16 * MiB)) + packer.flush()


def data_set(**values: int) -> bytes:
    """Build the data set of an image with these values, up to the length of its pixel data."""
    data = with_values(1, **values)
    start = 144 + struct.unpack_from("<I", data, 140)[0]
    return data[start : data.index(b"\xe0\x7f\x10\x00OW") + 8]


def compressed(syntax: str, frames: list[bytes], **values: int) -> bytes:
    """Build an image with these values and with encapsulated frames of this transfer syntax."""

    def change(dataset: FileDataset) -> None:
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.PixelData = encapsulate(frames, has_bot=False)
        dataset["PixelData"].VR = "OB"
        for name, value in values.items():
            setattr(dataset, name, value)

    return modified_phantom(1, change)


def nested(depth: int) -> bytes:
    """Build nested sequences of defined length."""
    inner = b""
    for _ in range(depth):
        inner = SEQUENCE + struct.pack("<I", len(inner) + 8) + ITEM + struct.pack("<I", len(inner)) + inner
    return inner


def cine(frames: int, *, groups: bytes = b"") -> bytes:
    """Build an image with native frames of 64 x 64 and 16 bits; `groups` are the last elements before the pixels."""
    data = with_values(1, NumberOfFrames=frames)
    at = data.index(b"\xe0\x7f\x10\x00OW")
    pixels = data[at + 12 :] * frames
    return data[:at] + groups + data[at : at + 8] + struct.pack("<I", len(pixels)) + pixels
