"""What the decoder of a frame may give, and what is said of a frame before it is decoded."""

from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
import pytest
from layouts import colour_layout, field, layout_of

from imaging.array import Array
from imaging.codecs import CODECS, Codec, codec_for, decode_frame, decoder_name, needs_guess_of_colours
from imaging.pixel_layout import PixelLayout
from nightread.errors import RejectImage
from nightread.reasons import Reason

GREY = np.arange(16, dtype=np.uint8).reshape(4, 4)
SHAPE = "The shape of the decoded frame differs from the header."


def refused(codec: Codec, frame: bytes, layout: PixelLayout) -> tuple[Reason, str]:
    """Return reason and detail."""
    with pytest.raises(RejectImage) as refusal:
        decode_frame(codec, frame, layout)
    return refusal.value.reason, refusal.value.detail


def giving(pixels: Array) -> Callable[..., Array]:
    """Return a decoder that always gives these pixels."""
    return lambda *_args, **_options: pixels


@pytest.mark.parametrize(
    ("pixels", "fits"),
    [
        (np.zeros((4, 4), np.uint8), True),
        (np.zeros((4, 3), np.uint8), False),
        (np.zeros((3, 4), np.uint8), False),
        (np.zeros((4, 4, 1), np.uint8), False),
        (np.zeros((4, 4), np.float32), False),
        (np.zeros((4, 4), np.bool_), False),
    ],
)
def test_a_grey_frame_has_two_dimensions_of_integers(
    monkeypatch: pytest.MonkeyPatch, pixels: Array, fits: bool
) -> None:
    """A library that reads the header of a frame in another way must not make another picture."""
    frame = bytes(imagecodecs.jpegls_encode(GREY))
    monkeypatch.setattr(imagecodecs, "jpegls_decode", giving(pixels))
    if fits:
        assert decode_frame(Codec.JPEG_LS, frame, layout_of()).values.shape == (4, 4)
    else:
        assert refused(Codec.JPEG_LS, frame, layout_of()) == (Reason.BAD_PIXELS, SHAPE)


@pytest.mark.parametrize(("samples", "fits"), [(3, True), (4, False), (1, False)])
def test_a_colour_frame_has_three_samples(monkeypatch: pytest.MonkeyPatch, samples: int, fits: bool) -> None:
    """The third dimension is that of the colours."""
    frame = bytes(imagecodecs.jpegls_encode(field(1, 2, 3)))
    monkeypatch.setattr(imagecodecs, "jpegls_decode", giving(np.ones((4, 4, samples), np.uint8)))
    layout = colour_layout("RGB")
    if fits:
        assert decode_frame(Codec.JPEG_LS, frame, layout).values.shape == (4, 4, 3)
    else:
        assert refused(Codec.JPEG_LS, frame, layout) == (Reason.BAD_PIXELS, SHAPE)


def test_an_error_of_the_library_names_its_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its text could quote the frame."""

    def fail(*_args: Any) -> None:
        raise ValueError("secret")

    frame = bytes(imagecodecs.jpegls_encode(GREY))
    monkeypatch.setattr(imagecodecs, "jpegls_decode", fail)
    assert refused(Codec.JPEG_LS, frame, layout_of()) == (Reason.BAD_PIXELS, "The decoder failed (ValueError).")


def with_scan_markers(number: int) -> bytes:
    """Return a JPEG frame with one scan, and a comment that makes it look like this number of scans."""
    frame = bytes(imagecodecs.jpeg8_encode(GREY, level=100))
    comment = b"\xff\xda" * (number - 1)
    return frame[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + frame[2:]


def test_a_jpeg_frame_may_have_200_scans() -> None:
    """Each of them takes the time of the whole picture."""
    assert decode_frame(Codec.JPEG, with_scan_markers(200), layout_of()).values.shape == (4, 4)
    detail = "A JPEG frame has too many scans."
    assert refused(Codec.JPEG, with_scan_markers(201), layout_of()) == (Reason.BAD_PIXELS, detail)


@pytest.mark.parametrize(
    "changed",
    [{"rows": 5}, {"columns": 3}, {"samples": 3, "photometric": "RGB"}],
)
def test_a_frame_of_another_size_than_the_header_is_not_decoded(changed: dict[str, Any]) -> None:
    """The decoder would allocate memory for what the frame says."""
    layout = layout_of(**changed)
    declared = f"{layout.rows} x {layout.columns} x {layout.samples}"
    detail = f"A compressed frame is 4 x 4 x 1, but the header declares {declared}."
    assert refused(Codec.JPEG_LS, bytes(imagecodecs.jpegls_encode(GREY)), layout) == (Reason.BAD_PIXELS, detail)


@pytest.mark.parametrize(("allocated", "fits"), [(16, True), (8, False)])
def test_a_frame_has_no_more_bits_than_the_cells_of_the_header(allocated: int, fits: bool) -> None:
    """Sixteen bits fit into cells of sixteen."""
    layout = layout_of(bits_allocated=allocated, bits_stored=allocated, high_bit=allocated - 1)
    wide = GREY.astype(np.uint16) + 60_000
    frame = bytes(imagecodecs.jpegls_encode(wide))
    if fits:
        assert np.array_equal(decode_frame(Codec.JPEG_LS, frame, layout).values, wide)
    else:
        detail = "A compressed frame has 16 bits per sample, but BitsAllocated is 8."
        assert refused(Codec.JPEG_LS, frame, layout) == (Reason.BAD_PIXELS, detail)


NO_HEADER = "A compressed frame has no valid header for its transfer syntax."


@pytest.mark.parametrize("codec", [Codec.JPEG, Codec.JPEG_LS, Codec.JPEG_2000])
def test_bytes_without_a_header_are_no_frame(codec: Codec) -> None:
    """An RLE header is recognised in each syntax; within RLE the decoder says what is wrong."""
    assert refused(codec, b"\x01" * 100, layout_of()) == (Reason.BAD_PIXELS, NO_HEADER)
    rle = b"\x01\x00\x00\x00\x40\x00\x00\x00" + bytes(56) + b"\x0f" + bytes(range(16))
    for each in (codec, Codec.RLE):
        assert np.array_equal(decode_frame(each, rle, layout_of()).values, GREY)


def test_bytes_without_a_header_in_rle_are_left_to_the_decoder() -> None:
    """Its detail is another one."""
    reason, detail = refused(Codec.RLE, b"\x01" * 100, layout_of())
    assert (reason, detail == NO_HEADER) == (Reason.BAD_PIXELS, False)


YBR, RGB = (90, 128, 128), (90, 91, 92)


@pytest.mark.parametrize(
    ("frame", "label", "needed"),
    [
        (bytes(imagecodecs.jpegls_encode(field(*RGB))), "YBR_FULL_422", True),
        (bytes(imagecodecs.jpegls_encode(field(*RGB))), "YBR_FULL", False),
        (bytes(imagecodecs.jpeg8_encode(field(*RGB))), "YBR_FULL_422", False),
        (bytes(imagecodecs.jpeg8_encode(field(*RGB), colorspace="RGB", outcolorspace="RGB")), "YBR_FULL_422", False),
        (bytes(imagecodecs.jpeg8_encode(field(*RGB), lossless=True)), "YBR_FULL_422", False),
        (bytes(imagecodecs.jpeg2k_encode(field(*RGB), level=0, codecformat="j2k", mct=True)), "YBR_FULL_422", False),
        (bytes(imagecodecs.jpeg2k_encode(field(*RGB), level=0, codecformat="j2k", mct=False)), "YBR_FULL_422", True),
        (
            bytes(imagecodecs.jpeg2k_encode(field(*YBR), level=0, codecformat="jp2", mct=False, colorspace="SYCC")),
            "YBR_FULL_422",
            False,
        ),
        (b"RLE says nothing of its colours", "YBR_FULL_422", True),
        (b"RLE says nothing of its colours", "RGB", False),
    ],
)
def test_colours_are_guessed_only_where_neither_frame_nor_label_says_them(
    frame: bytes, label: str, needed: bool
) -> None:
    """Lossy JPEG has a default; Adobe's marker, the transform of JPEG 2000 and a JP2 file say it."""
    assert needs_guess_of_colours(frame, colour_layout(label)) is needed


def test_subsampled_pixels_need_no_guess() -> None:
    """The label is right then."""
    assert not needs_guess_of_colours(b"", colour_layout("YBR_FULL_422", subsampled=True))


def test_every_transfer_syntax_has_its_codec() -> None:
    """PS3.6 table A-1: RLE, JPEG, JPEG-LS, JPEG 2000 and HTJ2K."""
    prefix = "1.2.840.10008.1.2."
    expected = {
        "5": Codec.RLE, "4.50": Codec.JPEG, "4.51": Codec.JPEG, "4.57": Codec.JPEG, "4.70": Codec.JPEG,
        "4.80": Codec.JPEG_LS, "4.81": Codec.JPEG_LS, "4.90": Codec.JPEG_2000, "4.91": Codec.JPEG_2000,
        "4.201": Codec.JPEG_2000, "4.202": Codec.JPEG_2000, "4.203": Codec.JPEG_2000,
    }  # fmt: skip
    assert {prefix + end: codec for end, codec in expected.items()} == CODECS
    assert codec_for(prefix + "4.203") is Codec.JPEG_2000
    with pytest.raises(RejectImage, match=r"^unsupported_syntax: No decoder is available"):
        codec_for("1.2.840.10008.1.2.4.100")


def test_the_decoder_is_named_with_its_version() -> None:
    """Uncompressed pixels are read by numpy."""
    assert decoder_name(None) == f"numpy {np.__version__}"
    assert decoder_name(Codec.RLE) == f"imagecodecs {imagecodecs.__version__}"
