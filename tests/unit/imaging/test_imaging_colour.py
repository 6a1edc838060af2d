"""Colours: the data decide where PhotometricInterpretation contradicts them."""

from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
import pytest
from pydicom.uid import (
    UID,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from imaging.array import Array
from imaging.read import read
from nightread.errors import RejectImage
from nightread.reasons import Reason

MakeDicom = Callable[..., bytes]
SIZE = 32
RGB = np.zeros((SIZE, SIZE, 3), np.uint8)
RGB[:, : SIZE // 2], RGB[:, SIZE // 2 :] = (200, 40, 40), (30, 30, 220)
YBR = np.zeros_like(RGB)
YBR[:, : SIZE // 2], YBR[:, SIZE // 2 :] = (88, 101, 208), (52, 223, 113)
"""The same two colours by PS3.3 C.7.6.3.1.2: Y = .299 R + .587 G + .114 B, Cb = 128 + (B - Y) / 1.772, and so on."""
COLOUR = {"SamplesPerPixel": 3, "PlanarConfiguration": 0, "HighBit": 7, "BitsStored": 8, "BitsAllocated": 8}
YBR_LABELS = ["YBR_FULL", "YBR_FULL_422"]
EVERY_LABEL = [*YBR_LABELS, "RGB", "YBR_RCT", "YBR_ICT", "YBR_PARTIAL_422", "YBR_PARTIAL_420"]


def colours(make_dicom: MakeDicom, pixels: Array | bytes, label: str, **elements: Any) -> Array:
    """Return the only frame of a file with this label."""
    shape = {"Rows": SIZE, "Columns": SIZE} if isinstance(pixels, bytes) else {}
    values = {**COLOUR, "PixelRepresentation": 0, **shape, "PhotometricInterpretation": label, **elements}
    (frame,) = read(make_dicom(pixels, **values)).frames()
    return frame.stored


def is_picture(stored: Array, tolerance: int = 3) -> bool:
    """Return whether the pixels are the two colours. Upsampling may mix them in the two columns where they meet."""
    if stored.shape != RGB.shape:
        return False
    difference = np.abs(stored.astype(int) - RGB)
    if tolerance > 3:
        difference[:, SIZE // 2 - 1 : SIZE // 2 + 1] = 0
    return int(difference.max()) <= tolerance


def compressed(make_dicom: MakeDicom, syntax: UID, frame: bytes, label: str) -> Array:
    """Return the only frame of a compressed file with this label."""
    return colours(make_dicom, RGB, label, syntax=syntax, frames=[frame])


def halved(ybr: Array) -> bytes:
    """Return 4:2:2 pixels: two luma values for each pair of chroma values."""
    return np.concatenate([ybr[:, ::2, :1], ybr[:, 1::2, :1], ybr[:, ::2, 1:]], axis=-1).tobytes()


@pytest.mark.parametrize("label", ["YBR_FULL_422", "YBR_FULL"])
def test_uncompressed_422_is_known_by_its_length(make_dicom: MakeDicom, label: str) -> None:
    """Two bytes for each pixel are 4:2:2, whichever YBR the label says."""
    assert is_picture(colours(make_dicom, halved(YBR), label))


@pytest.mark.parametrize("label", ["YBR_FULL_422", "YBR_FULL"])
@pytest.mark.parametrize("planar", [0, 1])
def test_uncompressed_ybr_with_all_samples(make_dicom: MakeDicom, label: str, planar: int) -> None:
    """Three bytes for each pixel are YBR_FULL, by pixel or by plane."""
    pixels = np.ascontiguousarray(np.moveaxis(YBR, -1, 0)).tobytes() if planar else YBR.tobytes()

    assert is_picture(colours(make_dicom, pixels, label, PlanarConfiguration=planar))


@pytest.mark.parametrize("label", ["YBR_FULL_422", "YBR_RCT", "YBR_ICT", "RGB"])
def test_uncompressed_rgb_with_the_label_of_the_compressed_file(make_dicom: MakeDicom, label: str) -> None:
    """A program that decompressed the file left its label. As YBR the colours would lie far outside of RGB."""
    assert is_picture(colours(make_dicom, RGB, label), tolerance=0)


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_the_length_tells_422_from_full_for_several_frames(make_dicom: MakeDicom, frames: int) -> None:
    """The length is compared with that of all frames; one byte may follow."""
    for one, length in ((halved(YBR), 2), (YBR.tobytes(), 3)):
        data = make_dicom(
            one * frames,
            **{**COLOUR, "PhotometricInterpretation": "YBR_FULL_422", "PixelRepresentation": 0},
            Rows=SIZE,
            Columns=SIZE,
            NumberOfFrames=frames,
        )
        stored = [frame.stored for frame in read(data).frames()]
        assert len(stored) == frames, length
        assert all(is_picture(each) for each in stored), length


@pytest.mark.parametrize("slack", [1, 16, 512])
def test_bytes_behind_the_pixels_do_not_change_what_they_are(make_dicom: MakeDicom, slack: int) -> None:
    """Some writers fill a block."""
    for pixels in (halved(YBR), YBR.tobytes()):
        assert is_picture(colours(make_dicom, pixels + bytes(slack), "YBR_FULL_422"))


def test_partial_ybr_is_stretched(make_dicom: MakeDicom) -> None:
    """PS3.3 C.7.6.3.1.2: (200, 40, 40) is Y 91, Cb 105, Cr 198 and (30, 30, 220) is Y 60, Cb 211, Cr 115."""
    partial = np.zeros_like(RGB)
    partial[:, : SIZE // 2], partial[:, SIZE // 2 :] = (91, 105, 198), (60, 211, 115)

    assert is_picture(colours(make_dicom, halved(partial), "YBR_PARTIAL_422"))
    assert is_picture(colours(make_dicom, partial, "YBR_PARTIAL_422"))
    assert is_picture(colours(make_dicom, partial, "YBR_PARTIAL_420"))


def without_markers(frame: bytes) -> bytes:
    """Return a JPEG frame whose colours no marker tells: components 1, 2 and 3, and neither JFIF nor Adobe."""
    for name in (b"JFIF", b"Adobe"):
        frame = frame.replace(name, b"xxxxx"[: len(name)])
    for marker, step in ((b"\xff\xc0", 10), (b"\xff\xc3", 10), (b"\xff\xda", 5)):
        at = frame.find(marker)
        if at >= 0:
            size = 3 if step == 10 else 2
            for component in range(3):
                position = at + step + component * size
                frame = frame[:position] + bytes([component + 1]) + frame[position + 1 :]
    return frame


def jpeg(pixels: Array, space: str, **options: Any) -> bytes:
    """Return a JPEG frame whose components are the samples of `pixels`, declared as this colour space."""
    return bytes(imagecodecs.jpeg8_encode(pixels, colorspace=space, outcolorspace=space, **options))


LOSSY_SYNTAXES = [JPEGBaseline8Bit, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, RLELossless]


@pytest.mark.parametrize("label", EVERY_LABEL)
@pytest.mark.parametrize("syntax", LOSSY_SYNTAXES)
def test_a_lossy_jpeg_with_markers_is_decoded_by_them(make_dicom: MakeDicom, syntax: UID, label: str) -> None:
    """JFIF is YCbCr, Adobe's marker may say RGB; neither label nor transfer syntax changes that."""
    assert is_picture(compressed(make_dicom, syntax, jpeg(YBR, "YCBCR", level=98), label), tolerance=6)
    assert is_picture(compressed(make_dicom, syntax, jpeg(RGB, "RGB", level=98), label), tolerance=6)


@pytest.mark.parametrize("identifiers", [b"RGB", b"rgb"])
@pytest.mark.parametrize("label", EVERY_LABEL)
def test_component_identifiers_say_rgb(make_dicom: MakeDicom, label: str, identifiers: bytes) -> None:
    """Components called R, G and B are RGB without any other marker."""
    frame = without_markers(jpeg(RGB, "RGB", level=98))
    header, scan = frame.index(b"\xff\xc0") + 10, frame.index(b"\xff\xda") + 5
    named = bytearray(frame)
    named[header : header + 9 : 3] = named[scan : scan + 6 : 2] = identifiers

    assert is_picture(compressed(make_dicom, JPEGBaseline8Bit, bytes(named), label), tolerance=6)


@pytest.mark.parametrize("label", YBR_LABELS)
def test_a_lossy_jpeg_without_markers_follows_its_label(make_dicom: MakeDicom, label: str) -> None:
    """Nothing else says what the components are."""
    assert is_picture(compressed(make_dicom, JPEGBaseline8Bit, without_markers(jpeg(YBR, "RGB", level=98)), label), 6)
    assert is_picture(compressed(make_dicom, JPEGBaseline8Bit, without_markers(jpeg(RGB, "RGB", level=98)), "RGB"), 6)


@pytest.mark.parametrize("subsampling", ["422", "444"])
def test_a_jpeg_that_stores_two_components_coarsely_is_ybr(make_dicom: MakeDicom, subsampling: str) -> None:
    """The label says RGB, but nobody subsamples or quantises green and blue more than red."""
    frame = bytearray(without_markers(jpeg(YBR, "YCBCR", level=100, subsampling=subsampling)))
    if subsampling == "422":  # both tables are all ones, so all components may use the first
        header = frame.index(b"\xff\xc0") + 10
        frame[header + 5] = frame[header + 8] = 0

    assert is_picture(compressed(make_dicom, JPEGBaseline8Bit, bytes(frame), "RGB"), tolerance=6)


def test_jfif_and_adobe_that_contradict_each_other_leave_it_to_the_label(make_dicom: MakeDicom) -> None:
    """JFIF says YCbCr and Adobe's marker says that there is no transform."""
    jfif = b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
    for pixels, label in ((RGB, "RGB"), (YBR, "YBR_FULL")):
        plain = without_markers(jpeg(pixels, "RGB", level=98)).replace(b"xxxxx", b"Adobe", 1)
        assert is_picture(compressed(make_dicom, JPEGBaseline8Bit, plain[:2] + jfif + plain[2:], label), tolerance=6)


@pytest.mark.parametrize("label", EVERY_LABEL)
def test_a_lossless_jpeg_with_adobes_marker(make_dicom: MakeDicom, label: str) -> None:
    """The marker says RGB, whatever the label says."""
    frame = jpeg(RGB, "RGB", lossless=True)
    assert b"Adobe" in frame

    assert is_picture(compressed(make_dicom, JPEGLosslessSV1, frame, label), tolerance=0)


@pytest.mark.parametrize("label", YBR_LABELS)
def test_a_lossless_jpeg_without_markers_follows_its_label(make_dicom: MakeDicom, label: str) -> None:
    """YBR labels with YBR samples; YBR_FULL_422 with RGB samples is a label that a transcoder left."""
    ybr, rgb = (without_markers(jpeg(pixels, "RGB", lossless=True)) for pixels in (YBR, RGB))

    assert is_picture(compressed(make_dicom, JPEGLosslessSV1, ybr, label))
    assert is_picture(compressed(make_dicom, JPEGLosslessSV1, rgb, "YBR_FULL_422"), tolerance=0)
    assert is_picture(compressed(make_dicom, JPEGLosslessSV1, rgb, "RGB"), tolerance=0)


@pytest.mark.parametrize("label", YBR_LABELS)
def test_jpeg_ls_follows_its_label(make_dicom: MakeDicom, label: str) -> None:
    """JPEG-LS frames say nothing of their colours."""
    ybr, rgb = (bytes(imagecodecs.jpegls_encode(pixels)) for pixels in (YBR, RGB))

    assert is_picture(compressed(make_dicom, JPEGLSLossless, ybr, label))
    for other in ("RGB", "YBR_FULL_422", "YBR_RCT"):
        assert is_picture(compressed(make_dicom, JPEGLSLossless, rgb, other), tolerance=0)


def jpeg2000(pixels: Array, **options: Any) -> bytes:
    """Return a lossless JPEG 2000 frame."""
    return bytes(imagecodecs.jpeg2k_encode(pixels, level=0, reversible=True, **{"codecformat": "j2k", **options}))


@pytest.mark.parametrize("label", EVERY_LABEL)
def test_a_jpeg_2000_frame_with_its_own_transform_is_rgb(make_dicom: MakeDicom, label: str) -> None:
    """The decoder undoes the multiple component transformation: a second conversion by the label would be wrong."""
    assert is_picture(compressed(make_dicom, JPEG2000Lossless, jpeg2000(RGB, mct=True), label), tolerance=0)


def test_a_jpeg_2000_frame_without_transform_follows_its_label(make_dicom: MakeDicom) -> None:
    """YBR_RCT and YBR_ICT without the transformation are RGB: there is nothing that could be undone."""
    for label in YBR_LABELS:
        assert is_picture(compressed(make_dicom, JPEG2000Lossless, jpeg2000(YBR, mct=False), label))
    for label in ("RGB", "YBR_RCT", "YBR_ICT", "YBR_FULL_422"):
        assert is_picture(compressed(make_dicom, JPEG2000Lossless, jpeg2000(RGB, mct=False), label), tolerance=0)


@pytest.mark.parametrize("label", ["RGB", "YBR_FULL"])
def test_the_colour_space_of_a_jp2_file_counts_once(make_dicom: MakeDicom, label: str) -> None:
    """DICOM has only codestreams; a whole JP2 file that says sYCC is converted once, whatever the label says."""
    frame = jpeg2000(YBR, mct=False, codecformat="jp2", colorspace="SYCC")

    assert is_picture(compressed(make_dicom, JPEG2000Lossless, frame, label))


def rle(planes: list[bytes]) -> bytes:
    """Return an RLE frame with one segment of literal runs for each plane."""
    packed = [b"".join(bytes([127]) + plane[at : at + 128] for at in range(0, len(plane), 128)) for plane in planes]
    offsets = 64 + np.cumsum([0, *map(len, packed)])[:-1]
    return np.array([len(planes), *offsets, *[0] * (15 - len(planes))], "<u4").tobytes() + b"".join(packed)


@pytest.mark.parametrize("planar", [0, 1])
def test_rle_follows_its_label(make_dicom: MakeDicom, planar: int) -> None:
    """RLE stores planes, whatever PlanarConfiguration says; YBR_FULL_422 may be left from the file before."""
    ybr, rgb = ([pixels[..., channel].tobytes() for channel in range(3)] for pixels in (YBR, RGB))
    elements = {"syntax": RLELossless, "PlanarConfiguration": planar}

    for label in YBR_LABELS:
        assert is_picture(colours(make_dicom, RGB, label, frames=[rle(ybr)], **elements))
    for label in ("RGB", "YBR_FULL_422", "YBR_RCT"):
        assert is_picture(colours(make_dicom, RGB, label, frames=[rle(rgb)], **elements), tolerance=0)


@pytest.mark.parametrize("syntax", LOSSY_SYNTAXES)
def test_the_first_bytes_of_a_frame_choose_the_decoder(make_dicom: MakeDicom, syntax: UID) -> None:
    """A gateway that changes the transfer syntax only in the header does not lose the picture."""
    frames = [
        jpeg(RGB, "RGB", lossless=True),
        bytes(imagecodecs.jpegls_encode(RGB)),
        jpeg2000(RGB),
        rle([RGB[..., channel].tobytes() for channel in range(3)]),
    ]
    for frame in frames:
        assert is_picture(compressed(make_dicom, syntax, frame, "RGB"), tolerance=0)


def test_wide_colours_keep_their_bits(make_dicom: MakeDicom) -> None:
    """16- and 32-bit RGB, and YBR_FULL of 16 bits: (128, 128, 128) times 257 is grey."""
    for dtype in (np.uint16, np.uint32):
        wide = RGB.astype(dtype) << 3
        bits = dtype().itemsize * 8
        elements = {"BitsAllocated": bits, "BitsStored": bits, "HighBit": bits - 1}
        assert np.array_equal(colours(make_dicom, wide, "RGB", **elements), wide)
    grey = np.full((4, 4, 3), 0x8000, np.uint16)
    grey[..., 0] = 1000
    elements = {"BitsAllocated": 16, "BitsStored": 16, "HighBit": 15}
    assert (colours(make_dicom, grey, "YBR_FULL", **elements) == 1000).all()


def test_422_needs_an_even_number_of_columns(make_dicom: MakeDicom) -> None:
    """A pair of pixels shares its chroma."""
    with pytest.raises(RejectImage) as refusal:
        colours(make_dicom, bytes(2 * 3 * 2), "YBR_FULL_422", Rows=2, Columns=3)
    assert refusal.value.reason is Reason.BAD_HEADER


def test_a_frame_with_another_number_of_components_is_rejected(make_dicom: MakeDicom) -> None:
    """The detail says both sizes."""
    grey = bytes(imagecodecs.jpeg8_encode(RGB[..., 0].copy()))
    with pytest.raises(RejectImage) as refusal:
        compressed(make_dicom, JPEGBaseline8Bit, grey, "RGB")
    assert "A compressed frame is 32 x 32 x 1, but the header declares 32 x 32 x 3 " in refusal.value.detail
