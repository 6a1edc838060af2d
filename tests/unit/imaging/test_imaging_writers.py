"""What writers do beside the rules, one habit a test."""

from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, JPEG2000Lossless

from imaging.prepare import prepare
from imaging.read import read
from imaging.remarks import Remark
from imaging.spec import InputSpec, Intensity

MakeDicom = Callable[..., bytes]
RGB = np.array([[[200, 40, 40], [30, 30, 220]], [[0, 0, 0], [255, 255, 255]]], np.uint8)
COLOUR = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0, "HighBit": 7}


def with_palette(make_dicom: MakeDicom, entries: int, bits: int, segments: bytes, **options: Any) -> bytes:
    """Return an image with the indices 0 to `entries`, whose three segmented tables are equal."""
    elements: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR", "HighBit": 7, **options}
    for name in ("Red", "Green", "Blue"):
        elements[f"{name}PaletteColorLookupTableDescriptor"] = [entries, 0, bits]
        elements[f"Segmented{name}PaletteColorLookupTableData"] = segments
    return make_dicom(np.arange(entries, dtype=np.uint8).reshape(1, -1), **elements)


def reds(data: bytes) -> list[int]:
    """Return the red values of the only frame."""
    (frame,) = read(data).frames()
    values: list[int] = frame.stored[..., 0].reshape(-1).tolist()
    return values


def test_a_rescale_and_a_window_beside_colours_need_not_be_numbers(make_dicom: MakeDicom) -> None:
    """PS3.3 C.11: they transform grayscale values only."""
    text = np.frombuffer(b"N/A ", np.uint8).tobytes()
    data = make_dicom(RGB, **COLOUR, RescaleSlope="1", WindowCenter="1", WindowWidth="1")
    data = data.replace(b"\x28\x00\x53\x10DS\x02\x001 ", b"\x28\x00\x53\x10DS\x04\x00" + text)
    assert text in data

    image = read(data)
    (frame,) = image.frames()
    spec = InputSpec(height=2, width=2, channels=3, intensity=Intensity(kind="voi"))

    assert prepare(frame, spec) == pytest.approx(RGB / 255, abs=1e-6)
    assert not image.remarks


@pytest.mark.parametrize("offset", [6, 3], ids=["bytes", "words"])
def test_the_offset_of_an_indirect_palette_segment_counts_bytes(make_dicom: MakeDicom, offset: int) -> None:
    """PS3.3 C.7.9.2.3. An offset that meets a segment only if it counts words is taken as words."""
    words = [0, 1, 100 << 8, 1, 2, 200 << 8, 1, 2, 0, 2, 1, offset, 0]

    data = with_palette(make_dicom, 7, 16, np.array(words, "<u2").tobytes())

    assert reds(data) == [100, 150, 200, 100, 0, 100, 200]


def test_segments_of_bytes_lie_in_words_of_the_byte_order(make_dicom: MakeDicom) -> None:
    """VR OW is a string of 16-bit words (PS3.5 section 6.2): in big endian the second byte of each comes first."""
    segments = bytes([0, 1, 100, 1, 2, 200, 0, 1, 7, 0])
    swapped = bytes(segments[at ^ 1] for at in range(len(segments)))

    data = with_palette(make_dicom, 4, 8, swapped, syntax=ExplicitVRBigEndian, PixelData=bytes([1, 0, 3, 2]))

    assert reds(data) == [100, 150, 200, 7]


@pytest.mark.parametrize("declared", [1, 2])
def test_an_empty_last_fragment_is_no_frame(make_dicom: MakeDicom, declared: int) -> None:
    """Only a count that includes it is wrong, and the row says so."""
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    frame = bytes(imagecodecs.jpeg2k_encode(pixels, level=0, codecformat="j2k", reversible=True))

    items = encapsulate([frame]) + b"\xfe\xff\x00\xe0\0\0\0\0"
    count = {"NumberOfFrames": declared, "PixelData": items}

    image = read(make_dicom(pixels, syntax=JPEG2000Lossless, frames=[frame], HighBit=7, **count))

    assert [np.array_equal(each.stored, pixels) for each in image.frames()] == [True]
    assert image.remarks.words == (None if declared == 1 else Remark.FRAMES_COUNTED)


def test_unused_bits_are_masked_in_words_of_two_pixels_too(make_dicom: MakeDicom) -> None:
    """8-bit pixels may have VR OW: in a big endian file each word then holds its second pixel first."""
    words = np.array([[0xC1, 0x02], [0x3F, 0xFF]], np.uint8)

    (frame,) = read(make_dicom(words, syntax=ExplicitVRBigEndian, BitsStored=6, HighBit=5)).frames()

    assert frame.stored.tolist() == [[0x02, 0x01], [0x3F, 0x3F]]


def test_the_label_decides_about_chroma_if_the_length_fits_neither_form(make_dicom: MakeDicom) -> None:
    """Three frames with half the chroma, as long as two with all of it, and six bytes behind them."""
    pair = bytes([255, 0, 128, 128])
    raw = pair * 4 * 3 + b"\7" * 6
    size = {"Rows": 2, "Columns": 4, "BitsAllocated": 8, "BitsStored": 8, "PixelRepresentation": 0}

    frames = list(read(make_dicom(raw, **COLOUR | size | {"PhotometricInterpretation": "YBR_FULL_422"})).frames())

    assert frames[0].stored[..., 0].tolist() == [[255, 0, 255, 0], [255, 0, 255, 0]]


def test_further_frames_of_a_deflated_data_set_are_noticed(make_dicom: MakeDicom) -> None:
    """Two frames are counted, three are there, and bytes behind them make their number uncertain."""
    raw = bytes(3 * 300 * 300 + 6)
    size = {"Rows": 300, "Columns": 300, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelRepresentation": 0}

    image = read(make_dicom(raw, syntax=DeflatedExplicitVRLittleEndian, NumberOfFrames=2, **size))

    assert image.frame_count == 2
    assert image.remarks.words == Remark.FRAMES_LEFT_OUT
