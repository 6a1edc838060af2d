"""Compress one frame. The libraries serve as codecs only: what the samples mean is decided elsewhere."""

from typing import Any

import imagecodecs
import jpeg_ls
import numpy as np
from rle.utils import encode_pixel_data

from metamorphic.axes import DCT, HTJ2K, JPEG_LOSSLESS, JPEG_LS, Cell

Samples = np.ndarray[Any, np.dtype[Any]]

LOST = {"jpeg50": 3, "jpeg51": 3, "jpegls81": 1, "j2k91": 3}
"""By how many stored values a lossy stream may differ, with the settings below."""
_SUBSAMPLING = {"YBR_FULL_422": "422", "422label_420data": "420"}
_APPLICATION_SEGMENTS, _START_OF_SCAN = range(0xE0, 0xF0), 0xDA
_START_OF_FRAME = (0xC0, 0xC1, 0xC3)
"""The JPEG processes of these encoders: baseline, extended, lossless."""


def compressed(samples: Samples, cell: Cell, precision: int) -> bytes:
    """Return one frame of (rows, columns) or (rows, columns, 3) integers as a stream of `precision` bits a sample."""
    if cell.syntax == "rle":
        return _rle(samples)
    if cell.syntax in DCT or cell.colour == "lossless_is_baseline":
        return _dct(samples, cell, precision)
    if cell.syntax in JPEG_LOSSLESS:
        return _lossless(samples, cell, precision)
    if cell.syntax in JPEG_LS:
        return _jpeg_ls(samples, cell, precision)
    if cell.syntax in HTJ2K:
        return _htj2k(samples, cell)
    return _jpeg2000(samples, cell, precision)


def _rle(samples: Samples) -> bytes:
    rows, columns, *colours = samples.shape
    parts = {"rows": rows, "columns": columns, "samples_per_pixel": colours[0] if colours else 1}
    # the planes of RLE are one colour after the other, which the function makes itself
    return bytes(encode_pixel_data(samples.tobytes(), byteorder="<", bits_allocated=8 * samples.itemsize, **parts))


def _dct(samples: Samples, cell: Cell, precision: int) -> bytes:
    if samples.ndim == 2:
        return bytes(imagecodecs.jpeg8_encode(samples, level=100, bitspersample=precision))
    if cell.colour.startswith("RGB_") or cell.colour == "RGB":
        stream = bytes(imagecodecs.jpeg8_encode(samples, level=100, colorspace="RGB", outcolorspace="RGB"))
        return _without_markers(stream) if cell.colour == "RGB_unmarked" else stream
    stream = bytes(imagecodecs.jpeg8_encode(samples, level=100, subsampling=_SUBSAMPLING.get(cell.colour, "444")))
    return _without_markers(stream) if cell.colour == "YBR_unmarked" else stream


def _lossless(samples: Samples, cell: Cell, precision: int) -> bytes:
    predictor = 4 if cell.syntax == "jpeg57" else 1
    options = {"lossless": True, "bitspersample": precision, "predictor": predictor}
    if samples.ndim == 2:
        return bytes(imagecodecs.jpeg8_encode(samples, **options))
    stream = bytes(imagecodecs.jpeg8_encode(samples, colorspace="RGB", outcolorspace="RGB", **options))
    return stream if cell.colour == "RGB" else _without_markers(stream)


def _jpeg_ls(samples: Samples, cell: Cell, precision: int) -> bytes:
    rows, columns = samples.shape[:2]
    near = LOST.get(cell.syntax, 0)
    colours = 1 if samples.ndim == 2 else 3
    interleave = 2 if colours == 3 else None
    if cell.colour == "RGB_planar":
        samples, interleave = np.ascontiguousarray(np.moveaxis(samples, -1, 0)), 0
    size = {"rows": rows, "columns": columns, "samples_per_pixel": colours, "bits_stored": precision}
    return bytes(jpeg_ls.encode_buffer(samples.tobytes(), lossy_error=near, interleave_mode=interleave, **size))


def _jpeg2000(samples: Samples, cell: Cell, precision: int) -> bytes:
    return bytes(
        imagecodecs.jpeg2k_encode(
            samples,
            level=0,
            codecformat="j2k",
            bitspersample=precision,
            reversible=cell.syntax == "j2k90",
            mct=_transformed(cell),
            resolutions=3,
            numthreads=1,
        )
    )


def _htj2k(samples: Samples, cell: Cell) -> bytes:
    return bytes(imagecodecs.htj2k_encode(samples, level=0, reversible=True, rgb=_transformed(cell)))


def _transformed(cell: Cell) -> bool:
    """Return whether the stream has a multiple component transformation."""
    return cell.colour in ("YBR_RCT", "YBR_ICT", "RGBlabel_MCT", "YBRlabel_MCT")


def _without_markers(stream: bytes) -> bytes:
    """Remove the JFIF and Adobe segments, which most writers of DICOM leave out, and number the components from 1."""
    position = 2
    kept = [stream[:2]]
    while True:
        marker = stream[position + 1]
        end = position + 2 + int.from_bytes(stream[position + 2 : position + 4], "big")
        segment = bytearray(stream[position:end])
        if marker in _START_OF_FRAME:
            segment[10::3] = b"\1\2\3"
        elif marker == _START_OF_SCAN:
            segment[5:11:2] = b"\1\2\3"
        if marker not in _APPLICATION_SEGMENTS:
            kept.append(bytes(segment))
        position = end
        if marker == _START_OF_SCAN:
            return b"".join((*kept, stream[position:]))
