"""A sign, a byte order or bits that the pixels of a picture refute."""

from typing import Any

import imagecodecs
import numpy as np
import pytest
from dicom_files import MakeDicom
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, JPEGLSLossless, RLELossless
from rle.utils import encode_pixel_data

from imaging.read import read

DOWN, ACROSS = np.mgrid[0:64, 0:48]
PICTURE = 0.5 + 0.3 * np.sin(ACROSS / 7) * np.cos(DOWN / 9) + np.random.default_rng(3).normal(0, 0.01, (64, 48))
"""A noisy picture from about 0.2 to 0.8."""
UNITS = np.round(PICTURE * 2000 - 1000).astype(np.int16)
TWELVE = np.round(PICTURE * 4095).astype(np.uint16)
SIXTEEN = np.round(PICTURE * 65535).astype(np.uint16)
SIGN = "The sign of the pixel values contradicts PixelRepresentation (0028,0103)."
ORDER = "The bytes of the pixel values are in the other order than the transfer syntax says."


def values(data: bytes) -> tuple[np.ndarray[Any, Any], int, str | None]:
    """Return the stored values of the only frame, their bits, and the remarks."""
    image = read(data)
    (frame,) = image.frames()
    return frame.stored, frame.bits_stored, image.remarks.detail


@pytest.mark.parametrize(
    ("words", "bits", "signed"),
    [(UNITS, 12, 0), (UNITS, 16, 0), (TWELVE, 12, 1), (SIXTEEN, 16, 1)],
    ids=["signed 12", "signed 16", "unsigned 12", "unsigned 16"],
)
def test_the_pixels_refute_the_sign(make_dicom: MakeDicom, words: np.ndarray[Any, Any], bits: int, signed: int) -> None:
    """The other sign gives a smooth picture."""
    data = make_dicom(words, BitsStored=bits, HighBit=bits - 1, PixelRepresentation=signed)
    stored, found_bits, detail = values(data)
    assert (stored.astype(int) == words).all()
    assert (found_bits, detail) == (bits, SIGN)


@pytest.mark.parametrize("signed", [0, 1])
def test_signed_words_with_more_bits_than_declared(make_dicom: MakeDicom, signed: int) -> None:
    """Values from -1024 to 3071 with 12 bits: such files exist, and 3071 would become -1025."""
    words = np.round(PICTURE * 6000 - 1500).astype(np.int16)
    stored, bits, detail = values(make_dicom(words, BitsStored=12, HighBit=11, PixelRepresentation=signed))
    assert (stored.astype(int) == words).all()
    assert (bits, detail) == (13, "The pixel values have 13 bits and a sign, but BitsStored (0028,0101) is 12.")


@pytest.mark.parametrize(("words", "bits"), [(TWELVE, 12), (SIXTEEN, 16)], ids=["12", "16"])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless, JPEGLSLossless])
def test_the_pixels_refute_the_order_of_the_bytes(
    make_dicom: MakeDicom, words: np.ndarray[Any, Any], bits: int, syntax: str
) -> None:
    """In the declared order the picture would be noise."""
    elements: dict[str, Any] = {"BitsStored": bits, "HighBit": bits - 1}
    if syntax == RLELossless:
        size = {"rows": 64, "columns": 48, "samples_per_pixel": 1, "bits_allocated": 16}
        elements["frames"] = [bytes(encode_pixel_data(words.byteswap().tobytes(), byteorder="<", **size))]
    elif syntax == JPEGLSLossless:
        elements["frames"] = [bytes(imagecodecs.jpegls_encode(words.byteswap(), out=2 * words.nbytes))]
    else:
        elements["PixelData"] = words.astype("<u2" if syntax == ExplicitVRBigEndian else ">u2").tobytes()
    stored, found_bits, detail = values(make_dicom(words, syntax=syntax, **elements))
    assert (stored == words).all()
    assert (found_bits, detail) == (bits, ORDER)


def test_the_pixels_refute_the_order_of_the_bytes_and_the_sign(make_dicom: MakeDicom) -> None:
    """The remark says both."""
    units = np.round(PICTURE * 60000 - 30000).astype(np.int16)
    stored, bits, detail = values(make_dicom(units.byteswap().view(np.uint16), PixelRepresentation=0))
    assert (stored.astype(int) == units).all()
    assert (bits, detail) == (16, f"{ORDER} {SIGN}")


def test_padding_lies_where_the_header_says(make_dicom: MakeDicom) -> None:
    """Only the order of the bytes is wrong: the values, and their padding of 5, begin at bit 4."""
    data = make_dicom((TWELVE << 4).byteswap(), BitsStored=12, HighBit=15, PixelPaddingValue=5 << 4)
    (frame,) = read(data).frames()
    assert (frame.stored == TWELVE).all()
    assert frame.grayscale.padding == (5, 5)


def test_padding_begins_at_bit_0_as_the_values_do(make_dicom: MakeDicom) -> None:
    """HighBit is 15, but the values and their padding of 4095 have 12 bits: shifted, the padding would be 255."""
    pixels = TWELVE.copy()
    pixels[:, :3] = 4095
    (frame,) = read(make_dicom(pixels, BitsStored=12, HighBit=15, PixelPaddingValue=4095)).frames()
    assert (frame.stored == pixels).all()
    assert frame.grayscale.padding == (4095, 4095)


def test_values_at_the_top_of_the_words(make_dicom: MakeDicom) -> None:
    """HighBit is 11, but the lowest four bits are unused: the window refers to values of 12 bits."""
    stored, bits, detail = values(make_dicom(TWELVE << 4, BitsStored=12, HighBit=11))
    assert (stored == TWELVE).all()
    assert (bits, detail) == (12, "The pixel values end at the highest bit, not at HighBit (0028,0102).")


LAWFUL = {
    "signed 16": (UNITS, 16, 1),
    "signed 12": (UNITS, 12, 1),
    "signed 12 without sign above": (UNITS.view(np.uint16) & 0xFFF, 12, 1),
    "whole range with a sign": ((SIXTEEN.astype(int) - 32768).astype(np.int16), 16, 1),
    "whole range": (SIXTEEN, 16, 0),
    "low bytes are zero": ((TWELVE >> 4) << 8, 16, 0),
    "black and white": (np.where(PICTURE > 0.5, 65535, 0).astype(np.uint16), 16, 0),
    "lowest and highest": (np.where(PICTURE > 0.5, 2047, -2048).astype(np.int16) & 0xFFF, 12, 1),
    "noise": (np.random.default_rng(1).integers(0, 65536, (64, 48)).astype(np.uint16), 16, 0),
    "signed noise": (np.random.default_rng(2).integers(-32768, 32768, (64, 48)).astype(np.int16), 16, 1),
    "overlay of one bit": (TWELVE | np.where(PICTURE > 0.6, 0x8000, 0).astype(np.uint16), 12, 0),
    "far padding": (np.where(ACROSS < 9, -32768, UNITS).astype(np.int16), 16, 1),
}


@pytest.mark.parametrize(("words", "bits", "signed"), LAWFUL.values(), ids=list(LAWFUL))
def test_lawful_words_get_no_remark(make_dicom: MakeDicom, words: np.ndarray[Any, Any], bits: int, signed: int) -> None:
    """Neither leaps, nor noise, nor an overlay refute a header."""
    _, _, detail = values(make_dicom(words, BitsStored=bits, HighBit=bits - 1, PixelRepresentation=signed))
    assert detail is None


@pytest.mark.parametrize("size", [(64, 48), (63, 47)], ids=["even", "odd"])
def test_one_bit_in_the_words_of_a_big_endian_file(make_dicom: MakeDicom, size: tuple[int, int]) -> None:
    """The first eight pixels are in the second byte."""
    bits = (PICTURE[: size[0], : size[1]] > 0.5).astype(np.uint8)
    raw = np.packbits(bits.reshape(-1), bitorder="little")
    raw = np.concatenate([raw, np.zeros(len(raw) % 2, np.uint8)])
    elements = {
        "BitsAllocated": 1,
        "BitsStored": 1,
        "HighBit": 0,
        "PixelData": raw.view(np.uint16).byteswap().tobytes(),
    }
    stored, _, detail = values(make_dicom(bits, syntax=ExplicitVRBigEndian, **elements))
    assert (stored == bits).all()
    assert detail is None


def test_frames_of_one_bit_that_begin_within_a_word(make_dicom: MakeDicom) -> None:
    """Frames of 391 bits lie without a gap: the third begins in the second byte of a word."""
    bits = np.random.default_rng(5).integers(0, 2, (3, 17, 23)).astype(np.uint8)
    raw = np.packbits(bits.reshape(-1), bitorder="little")
    raw = np.concatenate([raw, np.zeros(len(raw) % 2, np.uint8)]).view(np.uint16).byteswap().tobytes()
    elements = {"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0, "Rows": 17, "NumberOfFrames": 3, "PixelData": raw}
    image = read(make_dicom(bits.reshape(-1, 23), syntax=ExplicitVRBigEndian, **elements))
    assert (np.stack([frame.stored for frame in image.frames()]) == bits).all()


@pytest.mark.parametrize(("said", "other"), [((64, 48), False), ((48, 64), True)], ids=["right", "exchanged"])
def test_rows_and_columns_that_are_exchanged(make_dicom: MakeDicom, said: tuple[int, int], other: bool) -> None:
    """The picture would be sheared: it is not analysed."""
    data = make_dicom(TWELVE, BitsStored=12, HighBit=11, Rows=said[0], Columns=said[1])
    if not other:
        assert values(data)[2] is None
        return
    with pytest.raises(Exception, match="Columns \\(0028,0011\\) are exchanged"):
        values(data)


def test_noise_with_a_sign_of_its_own(make_dicom: MakeDicom) -> None:
    """All high bits repeat the sign, so that the words have one, although the other reading is as smooth."""
    noise = np.random.default_rng(7).integers(-2048, 2048, (64, 48)).astype(np.int16)
    stored, bits, detail = values(make_dicom(noise.view(np.uint16), BitsStored=12, HighBit=11, PixelRepresentation=0))
    assert (stored == noise).all()
    assert (bits, detail) == (12, SIGN)


def test_eight_planes_of_overlays_over_a_black_picture(make_dicom: MakeDicom) -> None:
    """With eight bits of pixels, the other eight may all be overlays."""
    overlays = (np.random.default_rng(7).integers(0, 256, (64, 48)) << 8).astype(np.uint16)
    stored, bits, detail = values(make_dicom(overlays, BitsStored=8, HighBit=7, PixelRepresentation=0))
    assert (int(stored.max()), bits, detail) == (0, 8, None)


def test_stripes_are_no_exchanged_sides(make_dicom: MakeDicom) -> None:
    """In a wide test pattern of bright and dark rows, pixels of one row are equal at any distance."""
    rows = np.where(np.arange(24) % 2, 3000, 200)[:, None]
    stripes = (rows + np.random.default_rng(5).integers(0, 20, (24, 200))).astype(np.uint16)
    stored, _, detail = values(make_dicom(stripes, BitsStored=12, HighBit=11))
    assert (stored == stripes).all()
    assert detail is None


def test_pixel_data_that_are_longer_than_the_frames(make_dicom: MakeDicom) -> None:
    """Columns may be too small: the result has a remark."""
    _, _, detail = values(make_dicom(TWELVE, BitsStored=12, HighBit=11, Columns=40))
    assert detail == (
        "PixelData (7FE0,0010) is 1,024 bytes longer than its frames: if Rows (0028,0010) and Columns (0028,0011) are "
        "wrong, the picture is distorted."
    )
