"""Decode compressed frames, with one fixed decoder per transfer syntax, so that equal files give equal pixels.

All decoders come with imagecodecs (BSD): libjpeg-turbo, CharLS, OpenJPEG and its own PackBits. On real lossless files
they return the same pixels as GDCM, pyjpegls and pylibjpeg, and decode JPEG up to ten times faster than GDCM.
pylibjpeg-rle cannot be used: for damaged frames it raises a BaseException, which error handlers do not catch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import imagecodecs
import numpy as np

from imaging.array import Array
from imaging.codestream import Codestream, has_colour_marker, lacks_end_marker, read_codestream
from imaging.pixel_layout import PixelLayout
from nightread.errors import ImageError, RejectImage
from nightread.reasons import Reason

_START_OF_SCAN = b"\xff\xda"
_MAX_SCANS = 200
"""Each scan of a few bytes makes the decoder process the whole image again. Progressive JPEG has about ten scans."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Codec:
    """The decoder of one family of transfer syntaxes."""

    decode: Callable[[bytes, PixelLayout], Any]
    """Function from a compressed frame to integers of shape (rows, columns) or (rows, columns, samples)."""
    gives_rgb: bool = False
    """Whether the decoder converts YBR_FULL to RGB. All decoders convert YBR_ICT and YBR_RCT to RGB."""


def decode_frame(codec: Codec, frame: bytes, layout: PixelLayout) -> Array:
    """Decode one frame to the integer type of PixelRepresentation, with sign bits extended.

    Raises RejectImage(BAD_PIXELS or TRUNCATED) for every exception of the library except MemoryError. An ImageError
    that a signal handler of the worker raises during decoding also passes.
    """
    stream = read_codestream(frame) if codec is not RLE else None
    if codec is not RLE:
        _check(stream, layout)
    try:
        pixels: Array = np.asarray(codec.decode(frame, layout))
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - codec libraries raise types of their own
        raise RejectImage(Reason.BAD_PIXELS, f"The decoder failed ({type(error).__name__}).") from None
    expected = (layout.rows, layout.columns) if layout.samples == 1 else (layout.rows, layout.columns, layout.samples)
    if pixels.shape != expected or pixels.dtype.kind not in "iu":
        raise RejectImage(Reason.BAD_PIXELS, "The shape of the decoded frame differs from the header.")
    return _with_sign(pixels, layout, stream)


def codec_for(transfer_syntax: str) -> Codec:
    """Return the decoder of a transfer syntax. Raises RejectImage(UNSUPPORTED_SYNTAX) if there is none."""
    codec = CODECS.get(transfer_syntax)
    if codec is None:
        raise RejectImage(Reason.UNSUPPORTED_SYNTAX)
    return codec


@cache
def decoder_name(codec: Codec | None) -> str:
    """Return library and version, as the database stores it; None stands for uncompressed pixels."""
    return f"numpy {np.__version__}" if codec is None else f"imagecodecs {imagecodecs.__version__}"


def _jpeg(frame: bytes, layout: PixelLayout) -> Any:
    if lacks_end_marker(frame):
        raise RejectImage(Reason.TRUNCATED, "A JPEG frame ends before its end-of-image marker.")
    if frame.count(_START_OF_SCAN) > _MAX_SCANS:
        raise RejectImage(Reason.BAD_PIXELS, "A JPEG frame has too many scans.")
    if layout.photometric == "RGB" and not has_colour_marker(frame):
        return imagecodecs.jpeg8_decode(frame, colorspace="RGB", outcolorspace="RGB")
    return imagecodecs.jpeg8_decode(frame)


def _jpeg_ls(frame: bytes, _layout: PixelLayout) -> Any:
    if lacks_end_marker(frame):  # CharLS 2.4 would spend many seconds on the missing bits.
        raise RejectImage(Reason.TRUNCATED, "A JPEG-LS frame ends before its end-of-image marker.")
    return imagecodecs.jpegls_decode(frame)


def _jpeg2000(frame: bytes, _layout: PixelLayout) -> Any:
    return imagecodecs.jpeg2k_decode(frame)


def _rle(frame: bytes, layout: PixelLayout) -> Array:
    dtype = np.dtype(f"<u{layout.bits_allocated // 8}")
    planes = np.empty((layout.samples, layout.rows, layout.columns), dtype)
    decoded = imagecodecs.dicomrle_decode(frame, dtype, out=planes.data.cast("B"))
    if len(decoded) != planes.nbytes:
        raise RejectImage(Reason.TRUNCATED, "An RLE frame holds fewer pixels than the header declares.")
    return planes[0] if layout.samples == 1 else np.ascontiguousarray(np.moveaxis(planes, 0, -1))


def _check(stream: Codestream | None, layout: PixelLayout) -> None:
    if stream is None:
        raise RejectImage(Reason.BAD_PIXELS, "A compressed frame has no valid header for its transfer syntax.")
    if (stream.rows, stream.columns, stream.samples) != (layout.rows, layout.columns, layout.samples):
        raise RejectImage(Reason.BAD_PIXELS, "The size of a compressed frame differs from the header.")


def _with_sign(pixels: Array, layout: PixelLayout, stream: Codestream | None) -> Array:
    """Convert pixels to the sign of PixelRepresentation, and extend sign bits.

    Only JPEG 2000 codestreams declare a sign. RLE does not declare the number of used bits either.
    """
    kind = "i" if layout.signed else "u"
    if stream is not None and pixels.dtype.kind == kind:
        return pixels
    used = layout.bits_stored if stream is None else stream.precision
    if layout.signed:
        used = min(used, layout.bits_stored)
    pixels = pixels.view(f"{kind}{pixels.dtype.itemsize}")
    unused = pixels.dtype.itemsize * 8 - used
    return (pixels << unused) >> unused if unused > 0 else pixels


RLE = Codec(decode=_rle)
_JPEG = Codec(decode=_jpeg, gives_rgb=True)
_JPEG_LOSSLESS = Codec(decode=_jpeg)
_JPEG_LS = Codec(decode=_jpeg_ls)
_JPEG_2000 = Codec(decode=_jpeg2000)

CODECS = {
    "1.2.840.10008.1.2.5": RLE,
    "1.2.840.10008.1.2.4.50": _JPEG,  # baseline, 8 bits
    "1.2.840.10008.1.2.4.51": _JPEG,  # extended, 8 and 12 bits
    "1.2.840.10008.1.2.4.57": _JPEG_LOSSLESS,  # lossless, all predictors
    "1.2.840.10008.1.2.4.70": _JPEG_LOSSLESS,  # lossless, first predictor
    "1.2.840.10008.1.2.4.80": _JPEG_LS,
    "1.2.840.10008.1.2.4.81": _JPEG_LS,  # near-lossless
    "1.2.840.10008.1.2.4.90": _JPEG_2000,  # lossless
    "1.2.840.10008.1.2.4.91": _JPEG_2000,
    "1.2.840.10008.1.2.4.201": _JPEG_2000,  # high-throughput, lossless
    "1.2.840.10008.1.2.4.202": _JPEG_2000,  # high-throughput, lossless, by resolution
    "1.2.840.10008.1.2.4.203": _JPEG_2000,  # high-throughput
}
