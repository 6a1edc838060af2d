"""Frames that are missing, empty or joined: no frame gets what belongs to another one without a word."""

import struct
from typing import Any

import imagecodecs
import numpy as np
import pytest
from dicom_files import MakeDicom
from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, JPEGLSLossless, RLELossless
from test_imaging_encapsulation import END, JPEG, RLE, encapsulated, frames_of

from imaging.dicom_image import DicomImage
from imaging.encapsulation import frame_fragments
from imaging.errors import RejectDicomImage
from imaging.read import read
from imaging.voi import Ramp
from nightread.errors import RejectImage
from nightread.reasons import Reason

GREYS = (20, 120, 220)
PICTURES = [np.full((16, 16), grey, np.uint8) for grey in GREYS]


def encoded(picture: np.ndarray[Any, np.dtype[Any]], syntax: Any) -> bytes:
    """Return the compressed picture."""
    if syntax == RLELossless:  # Replicate runs of 128 equal bytes: length byte -127, then the byte (PS3.5 G.3.1).
        return struct.pack("<16I", 1, 64, *[0] * 14) + bytes([129, int(picture[0, 0])]) * 2
    if syntax == JPEG2000Lossless:
        return bytes(imagecodecs.jpeg2k_encode(picture, level=0, codecformat="j2k", reversible=True))
    if syntax == JPEGLSLossless:
        return bytes(imagecodecs.jpegls_encode(picture))
    return bytes(imagecodecs.jpeg8_encode(picture, level=100))


def group(low: int, high: int) -> Dataset:
    """Return the functional groups of a frame with a window from `low` to `high`."""
    window, item = Dataset(), Dataset()
    window.WindowCenter, window.WindowWidth, window.VOILUTFunction = (low + high) / 2, high - low, "LINEAR_EXACT"
    item.FrameVOILUTSequence = [window]
    return item


def windows(image: DicomImage) -> list[Any]:
    """Return the VOI of each frame."""
    return [frame.grayscale.voi for frame in image.frames()]


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEG2000Lossless, RLELossless])
def test_an_empty_frame_is_named(make_dicom: MakeDicom, syntax: Any, place: int) -> None:
    """Otherwise the third picture would get the window of the second one."""
    frames = [encoded(picture, syntax) for picture in PICTURES]
    frames[place] = b"empty!"
    groups = [group(0, 50), group(50, 150), group(150, 250)]
    data = make_dicom(
        PICTURES[0], syntax=syntax, frames=frames, HighBit=7, NumberOfFrames=3, PerFrameFunctionalGroupsSequence=groups
    )
    with pytest.raises(RejectDicomImage) as refusal:
        read(data.replace(b"\x06\x00\x00\x00empty!", bytes(4)))
    assert refusal.value.reason is Reason.BAD_PIXELS
    assert refusal.value.detail.startswith(f"Frame {place + 1} of the pixel data is empty, at offset ")


def test_an_empty_fragment_within_a_frame_changes_nothing() -> None:
    """All declared frames are there."""
    fragments = [JPEG + b"a", b"", b"b" + END, b"", JPEG + b"c" + END]
    assert frames_of(encapsulated(fragments), 2) == [JPEG + b"ab" + END, JPEG + b"c" + END]


@pytest.mark.parametrize(("declared", "groups", "said"), [(3, 2, "2"), (2, 2, "2"), (3, 4, "more than 3")])
def test_groups_that_do_not_match_the_frames_are_remarked(
    make_dicom: MakeDicom, declared: int, groups: int, said: str
) -> None:
    """Three frames are there."""
    pixels = np.stack(PICTURES).tobytes()
    form = {"Rows": 16, "Columns": 16, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "NumberOfFrames": declared}
    items = [group(0, 50), group(50, 150), group(150, 250), group(0, 255)][:groups]
    image = read(make_dicom(pixels, PerFrameFunctionalGroupsSequence=items, **form))
    expected = [Ramp(low=0, high=50), Ramp(low=50, high=150), Ramp(low=150, high=250) if groups > 2 else None]
    assert windows(image) == expected
    sentence = (
        f"PerFrameFunctionalGroupsSequence (5200,9230) describes {said} of the frames, but the pixel data hold 3. "
        "A frame may have the window of another frame."
    )
    assert "frame_groups_differ" in (image.remarks.words or "")
    assert sentence in (image.remarks.detail or "")


def test_groups_of_frames_that_were_left_out_need_no_other_remark(make_dicom: MakeDicom) -> None:
    """Bytes behind the third frame make the number uncertain; the first one has its own window."""
    form = {"Rows": 16, "Columns": 16, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
    items = [group(0, 50), group(50, 150), group(150, 250)]
    image = read(make_dicom(bytes(3 * 256 + 6), PerFrameFunctionalGroupsSequence=items, **form))
    assert windows(image) == [Ramp(low=0, high=50)]
    assert image.remarks.words == "frames_left_out"


def test_groups_that_match_the_frames_need_no_remark(make_dicom: MakeDicom) -> None:
    """Two frames, two groups."""
    form = {"Rows": 16, "Columns": 16, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "NumberOfFrames": 2}
    items = [group(0, 50), group(50, 150)]
    image = read(make_dicom(bytes(512), PerFrameFunctionalGroupsSequence=items, **form))
    assert windows(image) == [Ramp(low=0, high=50), Ramp(low=50, high=150)]
    assert image.remarks.words is None


@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEGLSLossless, JPEG2000Lossless, RLELossless])
@pytest.mark.parametrize("declared", [1, 3])
def test_codestreams_in_one_fragment_are_frames(make_dicom: MakeDicom, syntax: Any, declared: int) -> None:
    """Each of the three has an end, or an RLE header, and the next one begins behind it."""
    joined = b"".join(encoded(picture, syntax) for picture in PICTURES)
    image = read(make_dicom(PICTURES[0], syntax=syntax, frames=[joined], HighBit=7, NumberOfFrames=declared))
    assert [int(frame.stored[0, 0]) for frame in image.frames()] == pytest.approx(GREYS, abs=2)
    assert all(np.ptp(frame.stored) <= 2 for frame in image.frames())
    assert image.remarks.words == (None if declared == 3 else "frames_counted")


def test_joined_codestreams_in_some_fragments_are_frames(make_dicom: MakeDicom) -> None:
    """The second fragment holds two, with a byte of padding between them."""
    first, second, third = (encoded(picture, JPEGBaseline8Bit) for picture in PICTURES)
    frames = [first, second + b"\x00" + third]
    image = read(make_dicom(PICTURES[0], syntax=JPEGBaseline8Bit, frames=frames, HighBit=7, NumberOfFrames=3))
    assert [int(frame.stored[0, 0]) for frame in image.frames()] == pytest.approx(GREYS, abs=2)
    assert image.remarks.words is None


def test_a_preview_within_a_codestream_is_no_frame(make_dicom: MakeDicom) -> None:
    """Two previews in an application segment lie before the scan of the picture (T.81 B.2.4.6)."""
    preview, picture = encoded(PICTURES[0], JPEGBaseline8Bit), encoded(PICTURES[2], JPEGBaseline8Bit)
    segment = b"\xff\xe5" + struct.pack(">H", 2 + 2 * len(preview)) + preview * 2
    data = make_dicom(
        PICTURES[0], syntax=JPEGBaseline8Bit, frames=[picture[:2] + segment + picture[2:]], HighBit=7, NumberOfFrames=1
    )
    (frame,) = read(data).frames()
    assert int(frame.stored[0, 0]) == pytest.approx(220, abs=2)


SCAN = JPEG + b"\x00\x02\xff\xda\x00\x02"
"""The start of an image, an empty application segment, and the header of a scan."""


def test_joined_frames_without_ends_are_not_split() -> None:
    """The second start lies behind the first scan, but no end before it."""
    data = encapsulated([SCAN + b"a" + SCAN + b"b" + END])
    with pytest.raises(RejectImage) as refusal:
        frame_fragments(data, 0, 2)
    sentence = "The pixel data at offset 0 hold several frames in one fragment, which cannot be separated"
    assert (refusal.value.reason, refusal.value.detail) == (Reason.TRUNCATED, f"{sentence}, in or after frame 1.")
    assert frame_fragments(data, 0, 1).left_out == 1


def test_an_rle_header_within_a_segment_of_another_kind_is_no_frame() -> None:
    """The bytes of a header whose offsets do not ascend."""
    fragment = RLE + b"aa" + struct.pack("<16I", 1, 64, 5, *[0] * 13) + b"bb"
    assert frames_of(encapsulated([fragment]), 1) == [fragment]
