"""Number and place of the frames: the data decide, and NumberOfFrames only where they cannot."""

import struct
from typing import Any

import imagecodecs
import numpy as np
import pytest
from dicom_files import MakeDicom
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

from imaging.dicom_image import DicomImage
from imaging.errors import RejectDicomImage
from imaging.limits import Limits
from imaging.read import read
from nightread.reasons import Reason

FRAMES = np.arange(3 * 4 * 6, dtype=np.uint8).reshape(3, 4, 6)
"""Three frames of 24 bytes."""
FORM = {"Rows": 4, "Columns": 6, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
PIXEL_DATA = b"\xe0\x7f\x10\x00OW\x00\x00"
"""Tag, VR and reserved bytes of native pixel data."""


def stored(dicom_image: DicomImage) -> np.ndarray[Any, np.dtype[Any]]:
    """Return all frames in one array."""
    return np.stack([frame.stored for frame in dicom_image.frames()])


def native(make_dicom: MakeDicom, pixels: bytes, **elements: Any) -> bytes:
    """Return a file of frames of 24 bytes."""
    return make_dicom(pixels, **{**FORM, **elements})


@pytest.mark.parametrize("declared", [{}, {"NumberOfFrames": 0}, {"NumberOfFrames": 1}, {"NumberOfFrames": 2}])
@pytest.mark.parametrize("padding", [b"", b"\x00\x00"], ids=["no padding", "two bytes behind the last frame"])
def test_native_frames_are_counted_from_their_bytes(
    make_dicom: MakeDicom, declared: dict[str, int], padding: bytes
) -> None:
    """There are three whole frames. Two bytes more are no padding, so that the number is uncertain, which is said."""
    dicom_image = read(native(make_dicom, FRAMES.tobytes() + padding, **declared))
    used = 3 if not padding else max(declared.get("NumberOfFrames", 1), 1)
    assert np.array_equal(stored(dicom_image), FRAMES[:used])
    assert (dicom_image.facts.frames, dicom_image.frame_count) == (used, used)
    if padding:
        left = "2 more frames" if used == 1 else "1 more frame"
        assert dicom_image.remarks.words == "frames_left_out"
        assert f"seem to hold {left} than NumberOfFrames (0028,0008) declares" in (dicom_image.remarks.detail or "")
    else:
        assert dicom_image.remarks.words == "frames_counted"
        other = "" if declared == {"NumberOfFrames": 2} else ", unless SamplesPerPixel (0028,0002) is 3"
        expected = f"NumberOfFrames (0028,0008) is missing or wrong: the pixel data hold 3 frames{other}."
        assert dicom_image.remarks.detail == expected


@pytest.mark.parametrize("value", [b"", b"ab", b"-3", b"1\\2", b"3.5 ", b"3x"])
def test_an_invalid_number_of_frames_is_not_used(make_dicom: MakeDicom, value: bytes) -> None:
    """The frames are counted."""
    data = native(make_dicom, FRAMES.tobytes(), NumberOfFrames="99")
    data = data.replace(b"\x28\x00\x08\x00IS\x02\x0099", b"\x28\x00\x08\x00IS" + struct.pack("<H", len(value)) + value)
    assert np.array_equal(stored(read(data)), FRAMES)


def test_the_declared_number_needs_no_remark(make_dicom: MakeDicom) -> None:
    """Three frames are declared and there; a byte of padding makes an odd length even."""
    dicom_image = read(native(make_dicom, FRAMES.tobytes(), NumberOfFrames=3))
    assert (dicom_image.facts.frames, dicom_image.remarks.words) == (3, None)
    odd = read(native(make_dicom, bytes(16), Rows=3, Columns=5))
    assert (odd.facts.frames, odd.remarks.words) == (1, None)
    pixel = read(native(make_dicom, bytes(2), Rows=1, Columns=1))
    assert (pixel.facts.frames, pixel.remarks.words) == (1, None)


def test_complete_pixel_data_with_fewer_frames_than_declared_are_used(make_dicom: MakeDicom) -> None:
    """The length of the element is that of three frames, and all bytes are there."""
    dicom_image = read(native(make_dicom, FRAMES.tobytes(), NumberOfFrames=5))
    assert np.array_equal(stored(dicom_image), FRAMES)
    expected = "NumberOfFrames (0028,0008) is missing or wrong: the complete pixel data hold only 3 frames."
    assert (dicom_image.remarks.words, dicom_image.remarks.detail) == ("frames_counted", expected)


@pytest.mark.parametrize(
    ("pixels", "cut", "declared", "frame"),
    [
        (72, 1, 3, 3),  # The element has three frames, the file ends one byte before the end of the third.
        (72, 25, 3, 2),
        (72, 49, 1, 1),
        (72, 25, 1, 2),  # NumberOfFrames is wrong: the length of the element says that frame 2 is cut.
        (60, 0, 3, 3),  # Two and a half frames.
        (20, 0, 1, 1),
    ],
)
def test_the_first_incomplete_frame_is_named(
    make_dicom: MakeDicom, pixels: int, cut: int, declared: int, frame: int
) -> None:
    """The detail names the tag, the offset of the pixel data, and the frame."""
    data = native(make_dicom, bytes(pixels), NumberOfFrames=declared)
    with pytest.raises(RejectDicomImage) as refusal:
        read(data[: len(data) - cut])
    at = data.index(PIXEL_DATA) + 12
    expected = f"PixelData (7FE0,0010) at offset {at:,} ends within frame {frame}."
    assert (refusal.value.reason, refusal.value.detail) == (Reason.TRUNCATED, expected)


@pytest.mark.parametrize("length", [0, 24, 70])
def test_a_length_that_is_too_small_is_not_used_if_the_file_ends_with_the_last_frame(
    make_dicom: MakeDicom, length: int
) -> None:
    """All bytes of the three declared frames are there, up to the end of the file."""
    data = native(make_dicom, FRAMES.tobytes(), NumberOfFrames=3)
    at = data.index(PIXEL_DATA) + 8
    data = data[:at] + struct.pack("<I", length) + data[at + 4 :]
    assert np.array_equal(stored(read(data)), FRAMES)


def test_frames_of_few_bits_are_not_counted(make_dicom: MakeDicom) -> None:
    """A frame of 3 x 5 bits is smaller than the padding may be; a frame of 16 bits is not."""
    form = {"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0}
    tiny = read(make_dicom(bytes(6), Rows=3, Columns=5, **form))
    assert (tiny.frame_count, tiny.remarks.words) == (1, "frames_left_out")
    assert read(make_dicom(bytes(6), Rows=4, Columns=4, **form)).frame_count == 3


def test_counted_frames_are_limited(make_dicom: MakeDicom) -> None:
    """The limits hold for what is there, not for what is declared."""
    data = native(make_dicom, FRAMES.tobytes())
    assert read(data, limits=Limits(frames=3, object_bytes=72)).frame_count == 3
    for limits in (Limits(frames=2), Limits(object_bytes=71)):
        with pytest.raises(RejectDicomImage) as refusal:
            read(data, limits=limits)
        assert refusal.value.reason is Reason.TOO_LARGE


def test_frames_of_a_deflated_data_set_are_counted(make_dicom: MakeDicom) -> None:
    """The pixels are inflated up to the last one that is there."""
    frames = np.arange(3 * 300 * 300, dtype=np.uint32).astype(np.uint8).reshape(3, 300, 300)
    data = make_dicom(frames.tobytes(), syntax=DeflatedExplicitVRLittleEndian, **{**FORM, "Rows": 300, "Columns": 300})
    assert np.array_equal(stored(read(data)), frames)


@pytest.mark.parametrize("declared", [{}, {"NumberOfFrames": 1}, {"NumberOfFrames": 2}, {"NumberOfFrames": 4}])
@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEG2000Lossless, RLELossless])
def test_compressed_frames_are_counted_by_their_codestreams(
    make_dicom: MakeDicom, syntax: Any, declared: dict[str, int]
) -> None:
    """Each of the three fragments begins a codestream."""
    frames = np.stack([np.full((16, 16), value, np.uint8) for value in (20, 120, 220)])
    encoded = [_encoded(frame, syntax) for frame in frames]
    dicom_image = read(make_dicom(frames[0], syntax=syntax, frames=encoded, HighBit=7, **declared))
    assert np.array_equal(stored(dicom_image), frames)
    assert (dicom_image.facts.frames, dicom_image.remarks.words) == (3, "frames_counted")


def test_compressed_pixels_of_defined_length_are_read(make_dicom: MakeDicom) -> None:
    """The value begins with an item, so that its length does not matter."""
    picture = np.full((16, 16), 77, np.uint8)
    data = make_dicom(picture, syntax=JPEG2000Lossless, frames=[_encoded(picture, JPEG2000Lossless)], HighBit=7)
    at = data.index(b"\xe0\x7f\x10\x00OB\x00\x00") + 8
    data = data[:at] + struct.pack("<I", len(data) - at - 4) + data[at + 4 :]
    assert np.array_equal(next(read(data).frames()).stored, picture)


def test_a_missing_sequence_delimiter_is_remarked(make_dicom: MakeDicom) -> None:
    """The frame is whole, and the row says that the file is not."""
    picture = np.full((16, 16), 77, np.uint8)
    data = make_dicom(picture, syntax=JPEG2000Lossless, frames=[_encoded(picture, JPEG2000Lossless)], HighBit=7)
    dicom_image = read(data[:-8])
    assert np.array_equal(next(dicom_image.frames()).stored, picture)
    expected = "The file ends without the sequence delimiter of its pixel data. All frames are there."
    assert (dicom_image.remarks.words, dicom_image.remarks.detail) == ("pixels_unclosed", expected)


def test_pixels_that_contradict_their_syntax_are_named(make_dicom: MakeDicom) -> None:
    """The detail says where they are, and how they are stored."""
    data = make_dicom().replace(b"1.2.840.10008.1.2.1\x00", b"1.2.840.10008.1.2.5\x00")
    with pytest.raises(RejectDicomImage) as refusal:
        read(data)
    at = data.index(PIXEL_DATA) + 12
    assert refusal.value.detail == (
        f"PixelData (7FE0,0010) at offset {at:,} is not compressed, which contradicts its transfer syntax."
    )


def _encoded(frame: np.ndarray[Any, np.dtype[Any]], syntax: Any) -> bytes:
    if syntax == RLELossless:  # Replicate runs of 128 equal bytes: length byte -127, then the byte (PS3.5 G.3.1).
        return struct.pack("<16I", 1, 64, *[0] * 14) + bytes([129, int(frame[0, 0])]) * (frame.size // 128)
    if syntax == JPEG2000Lossless:
        return bytes(imagecodecs.jpeg2k_encode(frame, level=0, codecformat="j2k", reversible=True))
    return bytes(imagecodecs.jpeg8_encode(frame, level=100))


@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEG2000Lossless, RLELossless])
def test_compressed_frames_are_read_without_their_transfer_syntax(make_dicom: MakeDicom, syntax: Any) -> None:
    """The file has no file meta information, or declares uncompressed pixels: the codestream tells how to decode it."""
    picture = np.full((16, 16), 77, np.uint8)
    data = make_dicom(picture, syntax=syntax, frames=[_encoded(picture, syntax)], HighBit=7)
    bare = data[144 + struct.unpack_from("<I", data, 140)[0] :]
    relabelled = data.replace(syntax.encode(), b"1.2.840.10008.1.2.1".ljust(len(syntax), b"\x00"))

    assert np.array_equal(next(read(bare).frames()).stored, picture)
    assert read(bare).remarks.words is None
    assert np.array_equal(next(read(relabelled).frames()).stored, picture)
    assert read(relabelled).remarks.words == "syntax_contradicted"


@pytest.mark.parametrize("declared", [{}, {"NumberOfFrames": 1}, {"NumberOfFrames": 2}])
@pytest.mark.parametrize("high_bit", [11, 15])
def test_words_are_not_taken_for_two_frames_of_bytes(
    make_dicom: MakeDicom, declared: dict[str, int], high_bit: int
) -> None:
    """BitsAllocated is 8, but HighBit lies in the second byte, and there are two bytes for each pixel."""
    pixels = bytes(48 * declared.get("NumberOfFrames", 1))
    with pytest.raises(RejectDicomImage) as refusal:
        read(native(make_dicom, pixels, HighBit=high_bit, **declared))
    expected = (
        "HighBit (0028,0102) does not fit BitsAllocated (0028,0100). By their length, the pixel data have "
        "2 times as many bits per pixel."
    )
    assert (refusal.value.reason, refusal.value.detail) == (Reason.BAD_HEADER, expected)


@pytest.mark.parametrize(
    ("times", "other"),
    [
        (2, "BitsAllocated (0028,0100) is 16"), (3, "SamplesPerPixel (0028,0002) is 3"),
        (4, "BitsAllocated (0028,0100) is 32"),
    ],
)  # fmt: skip
def test_another_attribute_that_explains_the_length_is_named(make_dicom: MakeDicom, times: int, other: str) -> None:
    """The frames are counted all the same."""
    dicom_image = read(native(make_dicom, bytes(24 * times), NumberOfFrames=1))
    expected = f"NumberOfFrames (0028,0008) is missing or wrong: the pixel data hold {times} frames, unless {other}."
    assert (dicom_image.frame_count, dicom_image.remarks.detail) == (times, expected)


@pytest.mark.parametrize("times", [5, 6, 8])
def test_no_attribute_explains_other_lengths(make_dicom: MakeDicom, times: int) -> None:
    """HighBit is used only where it decides."""
    dicom_image = read(native(make_dicom, bytes(24 * times), NumberOfFrames=1, HighBit=15))
    expected = f"NumberOfFrames (0028,0008) is missing or wrong: the pixel data hold {times} frames."
    assert (dicom_image.frame_count, dicom_image.remarks.detail) == (times, expected)


def test_two_full_frames_are_not_three_of_half_the_colours(make_dicom: MakeDicom) -> None:
    """YBR_FULL stores three samples of each pixel; grey has Cb and Cr of 128 (PS3.3 C.7.6.3.1.2)."""
    frame = np.stack([np.arange(24, dtype=np.uint8).reshape(4, 6), *[np.full((4, 6), 128, np.uint8)] * 2], axis=-1)
    colour = {"SamplesPerPixel": 3, "PhotometricInterpretation": "YBR_FULL", "PlanarConfiguration": 0}
    dicom_image = read(native(make_dicom, frame.tobytes() * 2, NumberOfFrames=3, **colour))
    grey = np.stack([np.arange(24, dtype=np.uint8).reshape(4, 6)] * 3, axis=-1)
    assert np.array_equal(stored(dicom_image), np.stack([grey, grey]))
    expected = (
        "NumberOfFrames (0028,0008) is missing or wrong: the complete pixel data hold only 2 frames, unless the pixels "
        "are 4:2:2."
    )
    assert dicom_image.remarks.detail == expected
