"""Decode compressed frames. The markers of a frame choose its decoder, so that equal frames give equal pixels.

All decoders come with imagecodecs (BSD): libjpeg-turbo, CharLS, OpenJPEG and its own PackBits. On real lossless files
they return the same pixels as GDCM, pyjpegls and pylibjpeg, and decode JPEG up to ten times faster than GDCM.
pylibjpeg-rle cannot be used: for damaged frames it raises a BaseException, which error handlers do not catch.
"""

from dataclasses import replace
from enum import Enum, auto
from typing import Any

import imagecodecs
import numpy as np

from imaging.array import Array
from imaging.codestream import (
    Codestream,
    Coding,
    Colours,
    is_lossless,
    lacks_end_marker,
    read_codestream,
    without_boxes,
)
from imaging.colour import is_unsure, ybr_to_rgb
from imaging.jpeg2000_tiles import check_complete
from imaging.jpeg_complete import decode_complete
from imaging.pixel_layout import PixelLayout
from imaging.refuted_colours import checked_to_rgb
from imaging.rle import decode_rle, is_rle
from imaging.stored_bits import StoredValues, decoded_values, native_values
from imaging.tags import TRANSFER_SYNTAX_UID, tag_name
from nightread.errors import ImageError, RejectImage
from nightread.reasons import Reason

_START_OF_SCAN = b"\xff\xda"
_MAX_SCANS = 200
"""Maximum number of scans of a JPEG frame; about ten are usual. Even for a scan of a few bytes, the decoder processes
the whole image, so a small frame with many scans would take very long."""
_COLOURS = 3
_NUMPY, _IMAGECODECS = f"numpy {np.__version__}", f"imagecodecs {imagecodecs.__version__}"


class Codec(Enum):
    """The coding that a transfer syntax declares. Many gateways declare another JPEG process than the frames have."""

    RLE = auto()
    JPEG = auto()
    JPEG_LS = auto()
    JPEG_2000 = auto()


def decode_frame(codec: Codec, frame: bytes, layout: PixelLayout) -> StoredValues:
    """Decode one frame to stored values: masked to BitsStored, with the sign of PixelRepresentation, colours in RGB.

    Raises RejectImage(BAD_PIXELS or TRUNCATED) for every exception of the library except MemoryError. An ImageError
    that a signal handler of the worker raises during decoding is not changed.
    """
    stream = read_codestream(frame)
    _check(stream, layout, rle=codec is Codec.RLE or is_rle(frame))
    try:
        pixels: Array = np.asarray(_decode(frame, layout, stream))
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - codec libraries raise types of their own
        raise RejectImage(Reason.BAD_PIXELS, f"The decoder failed ({type(error).__name__}).") from None
    expected = (layout.rows, layout.columns) if layout.samples == 1 else (layout.rows, layout.columns, layout.samples)
    if pixels.shape != expected or pixels.dtype.kind not in "iu":
        raise RejectImage(Reason.BAD_PIXELS, "The shape of the decoded frame differs from the header.")
    stored = _stored_values(pixels, frame, layout, stream)
    if layout.samples == 1:
        return stored
    if stored.bits != layout.bits_stored:
        layout = replace(layout, bits_stored=stored.bits)
    values, note = _rgb(stored.values, layout, stream)
    return stored._replace(values=values, colour_note=note)


def needs_guess_of_colours(frame: bytes, layout: PixelLayout) -> bool:
    """Return whether the colours must be guessed, because neither the frame nor its label tells them."""
    if not is_unsure(layout):
        return False
    stream = read_codestream(frame)
    return stream is None or (stream.coding is not Coding.JPEG and stream.colours not in (Colours.RGB, Colours.YBR))


def codec_for(transfer_syntax: str) -> Codec:
    """Return the codec of a transfer syntax. Raises RejectImage(UNSUPPORTED_SYNTAX) if there is none."""
    codec = CODECS.get(transfer_syntax)
    if codec is None:
        raise RejectImage(Reason.UNSUPPORTED_SYNTAX, f"No decoder is available for {tag_name(TRANSFER_SYNTAX_UID)}.")
    return codec


def decoder_name(codec: Codec | None) -> str:
    """Return name and version of the library that decodes the pixels; `codec` is None for uncompressed pixels."""
    return _NUMPY if codec is None else _IMAGECODECS


def _decode(frame: bytes, layout: PixelLayout, stream: Codestream | None) -> Any:
    if stream is None:
        return decode_rle(frame, layout)
    if stream.coding is Coding.JPEG_2000:
        bare = without_boxes(frame)
        check_complete(bare)
        return imagecodecs.jpeg2k_decode(bare)
    if lacks_end_marker(frame):
        # libjpeg would fill the rest with grey, and CharLS 2.4 would spend many seconds on the missing bits.
        raise RejectImage(Reason.TRUNCATED, "A JPEG frame ends before its end-of-image marker.")
    if stream.coding is Coding.JPEG_LS:
        return imagecodecs.jpegls_decode(frame)
    if frame.count(_START_OF_SCAN) > _MAX_SCANS:
        raise RejectImage(Reason.BAD_PIXELS, "A JPEG frame has too many scans.")
    if stream.samples == _COLOURS and (stream.coding is Coding.JPEG_LOSSLESS or _holds_rgb(stream, layout)):
        return decode_complete(frame, _components_as_they_are)
    return decode_complete(frame, imagecodecs.jpeg8_decode)  # libjpeg converts YCbCr to RGB unless a marker says RGB


def _components_as_they_are(frame: bytes) -> Array:
    return np.asarray(imagecodecs.jpeg8_decode(frame, colorspace="RGB", outcolorspace="RGB"))


def _holds_rgb(stream: Codestream, layout: PixelLayout) -> bool:
    """Return whether the components of a lossy JPEG frame are RGB, by its markers or, without them, by the header."""
    return stream.colours is Colours.RGB or (stream.colours is Colours.UNSAID and layout.photometric == "RGB")


def _stored_values(pixels: Array, frame: bytes, layout: PixelLayout, stream: Codestream | None) -> StoredValues:
    if stream is None:
        return native_values(pixels.view(f"{'i' if layout.signed else 'u'}{pixels.dtype.itemsize}"), layout)
    lossless = stream.precision == layout.bits_stored or is_lossless(frame, stream)
    return decoded_values(pixels, layout, stream.precision, signed=stream.signed, lossless=lossless)


def _rgb(pixels: Array, layout: PixelLayout, stream: Codestream | None) -> tuple[Array, str]:
    """Convert colours to RGB, by the markers of the frame or, if there are none, by the header.

    Also return what contradicts the header; empty if nothing.
    """
    if stream is not None and (stream.coding is Coding.JPEG or stream.colours is Colours.RGB):
        return pixels, ""
    if stream is not None and stream.colours is Colours.YBR:
        return ybr_to_rgb(pixels, layout.bits_stored), ""
    return checked_to_rgb(pixels, layout)


def _check(stream: Codestream | None, layout: PixelLayout, *, rle: bool) -> None:
    if stream is None:
        if not rle:
            raise RejectImage(Reason.BAD_PIXELS, "A compressed frame has no valid header for its transfer syntax.")
        return
    if (stream.rows, stream.columns, stream.samples) != (layout.rows, layout.columns, layout.samples):
        raise RejectImage(
            Reason.BAD_PIXELS,
            f"A compressed frame is {stream.rows} x {stream.columns} x {stream.samples}, but the header declares "
            f"{layout.rows} x {layout.columns} x {layout.samples}.",
        )
    if stream.precision > layout.bits_allocated:
        raise RejectImage(
            Reason.BAD_PIXELS,
            f"A compressed frame has {stream.precision} bits per sample, but BitsAllocated is {layout.bits_allocated}.",
        )


CODECS = {
    "1.2.840.10008.1.2.5": Codec.RLE,
    "1.2.840.10008.1.2.4.50": Codec.JPEG,  # baseline, 8 bits
    "1.2.840.10008.1.2.4.51": Codec.JPEG,  # extended, 8 and 12 bits
    "1.2.840.10008.1.2.4.57": Codec.JPEG,  # lossless, all predictors
    "1.2.840.10008.1.2.4.70": Codec.JPEG,  # lossless, first predictor
    "1.2.840.10008.1.2.4.80": Codec.JPEG_LS,
    "1.2.840.10008.1.2.4.81": Codec.JPEG_LS,  # near-lossless
    "1.2.840.10008.1.2.4.90": Codec.JPEG_2000,  # lossless
    "1.2.840.10008.1.2.4.91": Codec.JPEG_2000,
    "1.2.840.10008.1.2.4.201": Codec.JPEG_2000,  # high-throughput, lossless
    "1.2.840.10008.1.2.4.202": Codec.JPEG_2000,  # high-throughput, lossless, by resolution
    "1.2.840.10008.1.2.4.203": Codec.JPEG_2000,  # high-throughput
}
