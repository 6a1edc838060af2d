"""Pictures and deflated data sets that lost bytes are rejected, or give the very pixels of the whole file."""

import struct
import zlib
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from cut_streams import cuts, scene
from dicom_files import MakeDicom
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, JPEGLosslessSV1, RLELossless
from test_imaging_cut_streams import DEFECTIVE, STREAMS, start_of_pixels

from imaging.array import Array
from imaging.codestream import first_scan
from imaging.read import read
from nightread.errors import RejectImage

PLACES = 50
NOISY = scene(8, black=False)
COLOUR = np.stack([NOISY, 255 - NOISY, NOISY // 2], axis=-1)
JPEG_FILES = {
    "grey": (NOISY, []),
    "colour": (COLOUR, []),
    "colour, 4:4:4": (COLOUR, [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]),
    "progressive": (COLOUR, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
    "restart intervals": (COLOUR, [cv2.IMWRITE_JPEG_RST_INTERVAL, 3]),
}


def has_other_pixels(data: bytes, whole: Array) -> bool:
    """Return whether a damaged file gives pixels, but not those of the whole one."""
    try:
        (frame,) = read(data, accept_raster=True).frames()
    except RejectImage as rejected:
        return rejected.reason not in DEFECTIVE
    return not np.array_equal(frame.stored, whole)


def pixels_of(data: bytes) -> Array:
    """Return the only frame."""
    (frame,) = read(data, accept_raster=True).frames()
    return frame.stored


@pytest.mark.parametrize(("pixels", "options"), JPEG_FILES.values(), ids=list(JPEG_FILES))
def test_a_jpeg_file_that_lost_bytes_has_no_other_pixels(pixels: Array, options: list[int]) -> None:
    """OpenCV fills with grey and says nothing."""
    data = cv2.imencode(".jpg", pixels, options)[1].tobytes()
    whole = pixels_of(data)
    lost = cuts(data, start=first_scan(data) + 14, places=PLACES)
    assert [name for name, cut in lost if has_other_pixels(cut, whole)] == []


@pytest.mark.parametrize("bits", [8, 16])
def test_a_png_file_that_lost_bytes_has_no_other_pixels(bits: int) -> None:
    """The chunks have the right lengths and checksums, so that only the coded pixels are too short."""
    data = cv2.imencode(".png", scene(bits, black=True))[1].tobytes()
    whole = pixels_of(data)
    lost = cut_png(data)
    assert [name for name, cut in lost if has_other_pixels(cut, whole)] == []


def cut_png(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the file with fewer pixels in its only IDAT chunk (PNG 5.3)."""
    at = data.index(b"IDAT") - 4
    length = struct.unpack_from(">I", data, at)[0]
    coded = data[at + 8 : at + 8 + length]
    for index in range(PLACES):
        end = len(coded) * index // PLACES
        for name, rest in (("cut", b""), ("zeros", bytes(length - end)), ("gap", coded[end + 7 :])):
            chunk = b"IDAT" + coded[:end] + rest
            sized = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
            yield f"{name} at {end}", data[:at] + sized + data[at + 12 + length :]


def test_a_deflated_data_set_that_lost_bytes_has_no_other_pixels(make_dicom: MakeDicom) -> None:
    """It has no checksum: what was put in place of the end would become pixels."""
    for bits, black in ((8, True), (12, True), (16, False)):
        data = make_dicom(scene(bits, black=black), syntax=DeflatedExplicitVRLittleEndian)
        start = 144 + struct.unpack_from("<I", data, 140)[0]
        whole = pixels_of(data)
        lost = cut_deflated(data, start)
        assert [name for name, cut in lost if has_other_pixels(cut, whole)] == []


def cut_deflated(data: bytes, start: int) -> Iterator[tuple[str, bytes]]:
    """Yield the file with a shorter deflated stream; `03 00` is an empty last block (RFC 1951, 3.2.6)."""
    first = start + 900
    for index in range(PLACES):
        at = first + (len(data) - 16 - first) * index // PLACES
        yield f"cut at {at}", data[:at]
        yield f"cut at {at}, with an end", data[:at] + b"\x03\x00"
        yield f"zeros from {at}", data[:at] + bytes(len(data) - at)
        yield f"0xFF from {at}", data[:at] + b"\xff" * (len(data) - at)
        at = first + (len(data) - 300 - first) * index // PLACES
        yield f"a gap at {at}", data[:at] + data[at + (len(data) - at) // 3 :]


@pytest.mark.parametrize(
    ("name", "syntax"),
    [
        ("baseline JPEG, black border", "1.2.840.10008.1.2.4.50"),
        ("lossless JPEG, black border", JPEGLosslessSV1),
        ("reversible JPEG 2000, black border", JPEG2000Lossless),
        ("RLE, black border", RLELossless),
    ],
)
def test_an_object_whose_frame_lost_bytes_is_rejected(make_dicom: MakeDicom, name: str, syntax: str) -> None:
    """The lengths of the fragment and of the file are right; 60, 20 and 3 percent of the coded pixels are left."""
    stream = STREAMS[name]
    bits = stream.layout.bits_stored
    start = start_of_pixels(stream.frame)
    end = b"" if syntax == RLELossless else b"\xff\xd9"
    whole = stream.pixels
    header = {"BitsStored": bits, "HighBit": bits - 1}
    assert np.array_equal(pixels_of(make_dicom(whole, syntax=syntax, frames=[stream.frame], **header)), whole)
    for percent in (60, 20, 3):
        cut = stream.frame[: start + (len(stream.frame) - start) * percent // 100] + end
        assert is_rejected(make_dicom(whole, syntax=syntax, frames=[cut], **header)), percent


def is_rejected(data: bytes) -> bool:
    """Return whether no frame can be read."""
    with pytest.raises(RejectImage) as refusal:
        list(read(data).frames())
    return refusal.value.reason in DEFECTIVE
