"""Palettes: the width of the entries comes from the length of the data and the largest entry (PS3.3 C.7.6.3.1.5)."""

import struct
from collections.abc import Callable, Sequence
from typing import Any

import imagecodecs
import numpy as np
import pytest
from pydicom.uid import ExplicitVRBigEndian, JPEGBaseline8Bit, JPEGLosslessSV1, RLELossless

from imaging.array import Array
from imaging.errors import RejectDicomImage
from imaging.prepare import prepare
from imaging.read import read
from imaging.spec import InputSpec, Intensity
from nightread.errors import RejectImage
from nightread.reasons import Reason

MakeDicom = Callable[..., bytes]
INDICES = np.array([[0, 1], [2, 3]], np.uint8)
RED, GREEN, BLUE = [0, 100, 200, 255], [255, 50, 0, 7], [77, 77, 77, 77]
COLOURS = [[[0, 255, 77], [100, 50, 77]], [[200, 0, 77], [255, 7, 77]]]
Encode = Callable[[Sequence[int]], bytes]


def words(values: Sequence[int]) -> bytes:
    """Return little endian 16-bit words."""
    return struct.pack(f"<{len(values)}H", *values)


def palette(
    bits: int, encode: Encode, *, entries: int = 4, first: int = 0, prefix: str = "", **tables: Any
) -> dict[str, Any]:
    """Return the elements of a palette; `encode` turns a table into the bytes of its entries."""
    elements: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR", "HighBit": 7}
    for name, table in zip(("Red", "Green", "Blue"), tables.get("values", (RED, GREEN, BLUE)), strict=True):
        if bits:
            elements[f"{name}PaletteColorLookupTableDescriptor"] = [entries, first, bits]
        elements[f"{prefix}{name}PaletteColorLookupTableData"] = encode(table)
    return elements


def stored(data: bytes) -> Array:
    """Return the pixels of the only frame."""
    (frame,) = read(data).frames()
    return frame.stored


WIDTHS: dict[str, tuple[int, Encode]] = {
    "8 bits in bytes": (8, bytes),
    "8 bits in words": (8, words),
    "8 bits in high bytes": (8, lambda table: words([value << 8 for value in table])),
    "8 bits in both bytes": (8, lambda table: words([value * 257 for value in table])),
    "16 said, bytes": (16, bytes),
    "16 said, 8 bits in words": (16, words),
    "16 bits, in high bytes": (16, lambda table: words([value << 8 for value in table])),
    "16 bits": (16, lambda table: words([value * 257 for value in table])),
    "16 said, 12 bits": (16, lambda table: words([value << 4 for value in table])),
    "12 bits": (12, lambda table: words([value << 4 for value in table])),
    "8 said, 16 bits": (8, lambda table: words([(value << 8) + 3 for value in table])),
    "no valid number of bits": (32, lambda table: words([value * 257 for value in table])),
}


@pytest.mark.parametrize(("bits", "encode"), WIDTHS.values(), ids=list(WIDTHS))
def test_entries_of_every_width_give_the_same_colours(make_dicom: MakeDicom, bits: int, encode: Encode) -> None:
    """The descriptor says what it likes: the picture is the same."""
    assert stored(make_dicom(INDICES, **palette(bits, encode))).tolist() == COLOURS


def test_a_dark_palette_of_16_bits_stays_dark(make_dicom: MakeDicom) -> None:
    """Entries up to 0x4000 of 16 bits are a quarter of white."""
    dark = [[0, 0x1000, 0x2000, 0x4000]] * 3

    assert stored(make_dicom(INDICES, **palette(16, words, values=dark)))[..., 0].tolist() == [[0, 16], [32, 64]]


def test_three_channels_have_one_width(make_dicom: MakeDicom) -> None:
    """Only red needs more than 8 bits: blue's entries of 77 are nearly black all the same."""
    tables = [[0, 0x6400, 0xC800, 0xFF00], [0, 0, 0, 0], BLUE]

    pixels = stored(make_dicom(INDICES, **palette(16, words, values=tables)))

    assert pixels.tolist() == [[[0, 0, 0], [100, 0, 0]], [[200, 0, 0], [255, 0, 0]]]


def segments(table: Sequence[int]) -> list[int]:
    """Return a discrete segment of two entries, and a linear one that ends with the last entry."""
    return [0, 2, table[0], table[1], 1, 2, table[3]]


SEGMENTED: dict[str, tuple[int, Encode]] = {
    "8 bits": (8, lambda table: bytes(segments(table)) + b"\0"),
    "16 said, bytes": (16, lambda table: bytes(segments(table)) + b"\0"),
    "8 said, words": (8, lambda table: words(segments(table))),
    "16 said, 8 bits in words": (16, lambda table: words(segments(table))),
    "16 bits": (16, lambda table: words(segments([value << 8 for value in table]))),
}


@pytest.mark.parametrize(("bits", "encode"), SEGMENTED.values(), ids=list(SEGMENTED))
def test_segments_of_every_width_give_the_same_colours(make_dicom: MakeDicom, bits: int, encode: Encode) -> None:
    """PS3.3 C.7.9.2: the third entry lies halfway between the second and the fourth."""
    tables = [[0, 100, 150, 200], [200, 50, 50, 50], [70, 70, 72, 74]]
    elements = palette(bits, encode, prefix="Segmented", values=tables)

    expected = np.array(tables).T.reshape(2, 2, 3)
    assert np.array_equal(stored(make_dicom(INDICES, **elements)), expected)


def test_packed_entries_of_a_big_endian_file(make_dicom: MakeDicom) -> None:
    """Each word holds its first entry in the low byte, which comes second in the file."""
    swapped = palette(8, lambda table: bytes([table[1], table[0], table[3], table[2]]))
    elements = {"PixelData": bytes([1, 0, 3, 2]), **swapped}

    assert stored(make_dicom(INDICES, syntax=ExplicitVRBigEndian, **elements)).tolist() == COLOURS


@pytest.mark.parametrize("signed", [0, 1])
def test_the_first_index_has_the_sign_of_the_pixels(make_dicom: MakeDicom, signed: int) -> None:
    """A table from -2, or from 254 on: indices outside of it get its first or last colour."""
    first = [[-3, -2], [-1, 127]] if signed else [[0, 254], [255, 253]]
    data = make_dicom(
        np.array(first, np.int8 if signed else np.uint8), **palette(8, bytes, first=-2 if signed else 254)
    )

    assert stored(data)[..., 0].tolist() == [[0, 0], [100, 255 if signed else 0]]


def test_a_palette_without_any_descriptor_is_read_by_its_length(make_dicom: MakeDicom) -> None:
    """256 bytes for 8-bit indices are one entry for each."""
    elements = palette(0, lambda table: bytes([*table, *[9] * 252]))

    assert stored(make_dicom(INDICES, **elements)).tolist() == COLOURS


def test_another_channel_lends_its_descriptor(make_dicom: MakeDicom) -> None:
    """The three descriptors must be equal, so one is enough."""
    elements = palette(8, bytes)
    del elements["RedPaletteColorLookupTableDescriptor"]

    assert stored(make_dicom(INDICES, **elements)).tolist() == COLOURS


@pytest.mark.parametrize("syntax", [None, RLELossless, JPEGBaseline8Bit, JPEGLosslessSV1])
def test_without_a_palette_the_indices_are_grey_values(make_dicom: MakeDicom, syntax: Any) -> None:
    """The picture cannot be shown in colour: the row says so, and the indices are those of pydicom's pixel_array."""
    grey = np.full((8, 8), 51, np.uint8)
    elements: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR", "HighBit": 7}
    if syntax == RLELossless:
        packed = np.array([1, 64, *[0] * 14], "<u4").tobytes() + bytes([257 - 64, 51])
        elements |= {"syntax": syntax, "frames": [packed]}
    elif syntax is not None:
        encoded = imagecodecs.jpeg8_encode(grey, level=100, lossless=syntax == JPEGLosslessSV1)
        elements |= {"syntax": syntax, "frames": [bytes(encoded)]}
    image = read(make_dicom(grey, **elements))
    (frame,) = image.frames()

    assert np.array_equal(frame.stored, grey)
    spec = InputSpec(height=8, width=8, channels=1, intensity=Intensity(kind="full"))
    assert np.allclose(prepare(frame, spec), 0.2)
    assert image.remarks.words == "palette_missing"


def test_a_palette_without_the_entries_that_pixels_need_is_rejected(make_dicom: MakeDicom) -> None:
    """Two of four entries are there: a picture that uses only these is shown, another one is not."""
    short = palette(8, lambda table: bytes(table[:2]))

    assert stored(make_dicom(np.array([[0, 1], [1, 1]], np.uint8), **short)).tolist()[0] == COLOURS[0]
    with pytest.raises(RejectImage) as refusal:
        stored(make_dicom(INDICES, **short))
    assert refusal.value.reason is Reason.BAD_HEADER


def test_a_palette_that_lacks_a_channel_is_rejected(make_dicom: MakeDicom) -> None:
    """The detail names the tag of the missing one."""
    elements = palette(8, bytes)
    del elements["BluePaletteColorLookupTableData"]
    with pytest.raises(RejectDicomImage) as refusal:
        read(make_dicom(INDICES, **elements))

    assert (refusal.value.reason, refusal.value.detail) == (
        Reason.BAD_HEADER,
        "The colour palette lacks BluePaletteColorLookupTableData (0028,1203).",
    )
