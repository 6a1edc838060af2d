"""Compress one frame of stored pixels without loss, for each transfer syntax of the phantoms."""

from collections.abc import Callable

import imagecodecs
import jpeg_ls
import numpy as np
from numpy.typing import NDArray
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless
from rle.utils import encode_pixel_data

Stored = NDArray[np.uint8] | NDArray[np.uint16]

SYNTAXES = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "rle": RLELossless,
    "jpegls": JPEGLSLossless,
    "jpeg2000": JPEG2000Lossless,
}


def _encode_rle(stored: Stored, _bits: int) -> bytes:
    """Encode as RLE (DICOM PS3.5 annex G): bytes are split into planes, whatever BitsStored is."""
    rows, columns = stored.shape
    shape = {"rows": rows, "columns": columns, "samples_per_pixel": 1, "bits_allocated": 8 * stored.itemsize}
    return bytes(encode_pixel_data(stored.tobytes(), byteorder="<", **shape))


def _encode_jpeg_ls(stored: Stored, bits: int) -> bytes:
    rows, columns = stored.shape
    return bytes(jpeg_ls.encode_buffer(stored.tobytes(), rows, columns, samples_per_pixel=1, bits_stored=bits))


def _encode_jpeg2000(stored: Stored, bits: int) -> bytes:
    levels = min(6, min(stored.shape).bit_length() - 1)  # OpenJPEG refuses more levels than the size allows
    return bytes(
        imagecodecs.jpeg2k_encode(
            stored, codecformat="j2k", bitspersample=bits, reversible=True, resolutions=levels, numthreads=1
        )
    )


ENCODERS: dict[str, Callable[[Stored, int], bytes]] = {
    "rle": _encode_rle,
    "jpegls": _encode_jpeg_ls,
    "jpeg2000": _encode_jpeg2000,
}
"""Encoders by key of SYNTAXES; the pixel data of all other keys are native (not compressed)."""
