"""Only the BitsStored bits of a stored value are pixels, in every transfer syntax (PS3.5 section 8.1.1)."""

from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
import pytest
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from imaging.array import Array
from imaging.dicom_image import Frame
from imaging.read import read
from imaging.remarks import Remark
from nightread.errors import RejectImage
from nightread.reasons import Reason

MakeDicom = Callable[..., bytes]
SIZE = 16
VALUES = (np.arange(SIZE * SIZE) * 16 + 7).reshape(SIZE, SIZE).astype(np.uint16)
"""256 different values of 12 bits."""
OVERLAY = ((np.arange(SIZE * SIZE) % 13) << 12).reshape(SIZE, SIZE).astype(np.uint16)
"""What a device may keep in the other four bits."""


def rle(words: Array) -> bytes:
    """Return an RLE frame of two segments, high bytes first, in literal runs."""
    segments = [words.astype(">u2").tobytes()[byte::2] for byte in (0, 1)]
    packed = [
        b"".join(bytes([len(run) - 1]) + run for run in (part[at : at + 128] for at in range(0, len(part), 128)))
        for part in segments
    ]
    offsets = [2, 64, 64 + len(packed[0]), *[0] * 13]
    return np.array(offsets, "<u4").tobytes() + b"".join(packed)


ENCODERS: dict[UID, Callable[[Array], bytes]] = {
    RLELossless: rle,
    JPEGLosslessSV1: lambda words: bytes(imagecodecs.jpeg8_encode(words, lossless=True, bitspersample=16)),
    JPEGLSLossless: lambda words: bytes(imagecodecs.jpegls_encode(words)),
    JPEG2000Lossless: lambda words: bytes(
        imagecodecs.jpeg2k_encode(words, level=0, codecformat="j2k", reversible=True, bitspersample=16)
    ),
}


def frame_in(make_dicom: MakeDicom, syntax: UID, words: Array, **elements: Any) -> Frame:
    """Write 16-bit words in a transfer syntax, and read them."""
    if syntax in ENCODERS:
        data = make_dicom(words, syntax=syntax, frames=[ENCODERS[syntax](words)], **elements)
    elif syntax == ExplicitVRBigEndian:
        data = make_dicom(words, syntax=syntax, PixelData=words.astype(">u2").tobytes(), **elements)
    else:
        data = make_dicom(words, syntax=syntax, **elements)
    (frame,) = read(data).frames()
    return frame


SYNTAXES = [ExplicitVRLittleEndian, ExplicitVRBigEndian, *ENCODERS]
NAMES = ["explicit", "big endian", "RLE", "JPEG lossless", "JPEG-LS", "JPEG 2000"]


@pytest.mark.parametrize("syntax", SYNTAXES, ids=NAMES)
def test_an_overlay_in_the_high_bits_is_dropped(make_dicom: MakeDicom, syntax: UID) -> None:
    """Bits 12 to 15 hold an overlay."""
    frame = frame_in(make_dicom, syntax, VALUES | OVERLAY, BitsStored=12, HighBit=11)

    assert np.array_equal(frame.stored, VALUES)
    assert frame.bits_stored == 12


@pytest.mark.parametrize("syntax", SYNTAXES, ids=NAMES)
def test_values_at_the_top_of_the_word_are_shifted_down(make_dicom: MakeDicom, syntax: UID) -> None:
    """HighBit 15: the values are in bits 4 to 15, and an overlay is in bits 0 to 3."""
    frame = frame_in(make_dicom, syntax, VALUES << 4 | OVERLAY >> 12, BitsStored=12, HighBit=15)

    assert np.array_equal(frame.stored, VALUES)


@pytest.mark.parametrize("syntax", SYNTAXES, ids=NAMES)
def test_values_between_other_bits(make_dicom: MakeDicom, syntax: UID) -> None:
    """HighBit 13: two bits above and two below are something else."""
    words = VALUES << 2 | OVERLAY & 0xC000 | OVERLAY >> 12 & 3

    assert np.array_equal(frame_in(make_dicom, syntax, words, BitsStored=12, HighBit=13).stored, VALUES)


@pytest.mark.parametrize("syntax", SYNTAXES, ids=NAMES)
def test_signs_are_extended_from_the_highest_stored_bit(make_dicom: MakeDicom, syntax: UID) -> None:
    """Signed pixels of 12 bits, with an overlay above: 0x800 is -2048."""
    expected = VALUES.astype(np.int32) - (VALUES >= 2048) * 4096

    frame = frame_in(make_dicom, syntax, VALUES | OVERLAY, BitsStored=12, HighBit=11, PixelRepresentation=1)

    assert frame.stored.dtype == np.int16
    assert np.array_equal(frame.stored, expected)


@pytest.mark.parametrize("syntax", SYNTAXES, ids=NAMES)
def test_signed_pixels_with_clean_high_bits(make_dicom: MakeDicom, syntax: UID) -> None:
    """The bits above are zero, as if the values were unsigned: 0xFFF is still -1."""
    words = np.full((SIZE, SIZE), 0x0FFF, np.uint16)
    words[0, 0] = 1

    frame = frame_in(make_dicom, syntax, words, BitsStored=12, HighBit=11, PixelRepresentation=1)

    assert frame.stored[0, :2].tolist() == [1, -1]
    assert frame.stored.min() == -1


@pytest.mark.parametrize("syntax", SYNTAXES, ids=NAMES)
def test_all_16_bits_are_kept(make_dicom: MakeDicom, syntax: UID) -> None:
    """Where every bit is stored, nothing is masked."""
    words = VALUES | OVERLAY

    assert np.array_equal(frame_in(make_dicom, syntax, words).stored, words)


@pytest.mark.parametrize("high_bit", [11, 15])
@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize("syntax", [JPEGLosslessSV1, JPEG2000Lossless], ids=["JPEG lossless", "JPEG 2000"])
def test_compressed_values_need_no_shift(make_dicom: MakeDicom, syntax: UID, signed: int, high_bit: int) -> None:
    """The frame has 12 bits per sample: it holds the values, and not the words, wherever these had their bits."""
    if syntax == JPEGLosslessSV1:
        frame = imagecodecs.jpeg8_encode(VALUES, lossless=True, bitspersample=12)
    else:
        frame = imagecodecs.jpeg2k_encode(VALUES, level=0, codecformat="j2k", reversible=True, bitspersample=12)
    elements = {"BitsStored": 12, "HighBit": high_bit, "PixelRepresentation": signed}

    (decoded,) = read(make_dicom(VALUES, syntax=syntax, frames=[bytes(frame)], **elements)).frames()

    assert np.array_equal(decoded.stored, VALUES.astype(np.int32) - (VALUES >= 2048) * 4096 * signed)


def test_a_lossy_value_beyond_the_stored_bits_is_clipped(make_dicom: MakeDicom) -> None:
    """Errors of lossy compression reach beyond white; masked to 8 bits, 256 would become black."""
    white = np.zeros((64, 64), np.uint16)
    white[:, ::7] = 255
    frame = bytes(imagecodecs.jpeg8_encode(white, level=60, bitspersample=12))
    assert imagecodecs.jpeg8_decode(frame).max() > 255
    data = make_dicom(white, syntax=UID("1.2.840.10008.1.2.4.51"), frames=[frame], BitsStored=8, HighBit=7)

    (decoded,) = read(data).frames()

    assert decoded.stored.max() == 255
    assert np.array_equal(decoded.stored, np.minimum(imagecodecs.jpeg8_decode(frame), 255))


STRIPES = np.zeros((32, 32), np.uint16)
STRIPES[:, ::5] = 4095
NEARLY_WHITE = (4085 + np.arange(32 * 32) * np.arange(32 * 32) % 11).reshape(32, 32).astype(np.uint16)
LOSSY = {
    "near-lossless JPEG-LS": ("81", imagecodecs.jpegls_encode(NEARLY_WHITE, level=4)),
    "irreversible JPEG 2000": (
        "91",
        imagecodecs.jpeg2k_encode(STRIPES, level=70, codecformat="j2k", reversible=False, bitspersample=16),
    ),
}


@pytest.mark.parametrize(("syntax", "encoded"), LOSSY.values(), ids=list(LOSSY))
def test_other_lossy_frames_are_clipped_too(make_dicom: MakeDicom, syntax: str, encoded: bytes) -> None:
    """What decides is the frame: the same processes without loss are masked."""
    decoder = imagecodecs.jpegls_decode if syntax == "81" else imagecodecs.jpeg2k_decode
    assert decoder(encoded).max() > 4095
    data = make_dicom(
        STRIPES, syntax=UID(f"1.2.840.10008.1.2.4.{syntax}"), frames=[bytes(encoded)], BitsStored=12, HighBit=11
    )

    (frame,) = read(data).frames()

    assert np.array_equal(frame.stored, np.minimum(decoder(encoded), 4095))


def test_more_bits_than_the_pixel_cell_are_rejected(make_dicom: MakeDicom) -> None:
    """BitsAllocated 8 cannot hold the 16 bits of the frame: one of the two is wrong."""
    data = make_dicom(
        VALUES.astype(np.uint8), syntax=JPEGLosslessSV1, frames=[ENCODERS[JPEGLosslessSV1](VALUES)], HighBit=7
    )
    with pytest.raises(RejectImage) as refusal:
        list(read(data).frames())

    assert refusal.value.reason is Reason.BAD_PIXELS
    assert "16 bits per sample" in refusal.value.detail


def test_the_sign_of_a_codestream_is_not_doubted(make_dicom: MakeDicom) -> None:
    """Header and codestream agree, though the gradient from 30,000 to 34,410 jumps from 32,767 to -32,768.

    Without compression the pixels decide.
    """
    rows, columns = np.mgrid[0:64, 0:64]
    gradient = (30_000 + 40 * columns + 30 * rows).astype(np.uint16)
    signed = gradient.view(np.int16)
    encoded = imagecodecs.jpeg2k_encode(signed, level=0, codecformat="j2k", reversible=True, bitspersample=16)
    compressed = read(make_dicom(gradient, syntax=JPEG2000Lossless, frames=[bytes(encoded)], PixelRepresentation=1))
    assert np.array_equal(compressed.frame(0).stored, signed)
    assert Remark.BITS_WRONG not in compressed.remarks
    plain = read(make_dicom(gradient, PixelRepresentation=1))
    assert np.array_equal(plain.frame(0).stored, gradient)
    assert Remark.BITS_WRONG in plain.remarks


def test_small_values_above_the_lowest_bit_are_shifted_down(make_dicom: MakeDicom) -> None:
    """Samples of 14 bits with the values in bits 2 to 13, though none of them reaches bit 12."""
    small = VALUES >> 2
    encoded = imagecodecs.jpeg2k_encode(small << 2, level=0, codecformat="j2k", reversible=True, bitspersample=14)
    data = make_dicom(small, syntax=JPEG2000Lossless, frames=[bytes(encoded)], BitsStored=12, HighBit=13)
    (frame,) = read(data).frames()
    assert np.array_equal(frame.stored, small)
