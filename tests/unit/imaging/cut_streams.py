"""Compressed frames of every codec, and the ways in which a frame loses bytes."""

import io
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

import cv2
import imagecodecs
import jpeg_ls
import numpy as np
from PIL import Image
from rle.utils import encode_pixel_data

from imaging.array import Array
from imaging.codecs import Codec, decode_frame
from imaging.pixel_layout import PixelLayout

SIDE = 64
_END = b"\xff\xd9"
_TILE_PART = b"\xff\x90\x00\x0a"
_NEAR_END = 160
"""Places that are filled, or lose bytes in the middle, lie before these last bytes: fewer bytes may fit by chance."""


class Stream(NamedTuple):
    """A whole frame, and what the header of its image says."""

    frame: bytes
    layout: PixelLayout
    codec: Codec = Codec.JPEG

    @property
    def pixels(self) -> Array:
        """The decoded pixels."""
        pixels: Array = decode_frame(self.codec, self.frame, self.layout).values
        return pixels


def scene(bits: int, *, black: bool) -> Array:
    """Return a bright disc with noise, with a black border as most images have one, or with noise everywhere."""
    rng = np.random.default_rng(bits)
    y, x = np.mgrid[0:SIDE, 0:SIDE] - SIDE / 2
    values = np.exp(-(x**2 + y**2) / (SIDE * SIDE / 10)) * (2**bits - 1) * 0.7
    values += rng.normal(0, 2**bits / 200, values.shape)
    if black:
        values[np.hypot(x, y) > SIDE * 0.4] = 0
    clipped: Array = np.clip(values, 0, 2**bits - 1).astype(np.uint8 if bits <= 8 else np.uint16)
    return clipped


def layout_of(pixels: Array, bits: int) -> PixelLayout:
    """Return what the header of an image with these pixels says."""
    samples = 1 if pixels.ndim == 2 else 3
    return PixelLayout(
        rows=pixels.shape[0],
        columns=pixels.shape[1],
        frames=1,
        samples=samples,
        photometric="MONOCHROME2" if samples == 1 else "RGB",
        planar=False,
        bits_allocated=8 * pixels.itemsize,
        bits_stored=bits,
        high_bit=bits - 1,
        signed=False,
        pixel_tag=0x7FE00010,
    )


def _jpeg(pixels: Array, **options: Any) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(pixels, **options))


def _opencv(pixels: Array, *options: int) -> bytes:
    return bytes(cv2.imencode(".jpg", pixels, list(options))[1])


def _jpeg_ls(pixels: Array, bits: int, lost: int = 0) -> bytes:
    samples = 1 if pixels.ndim == 2 else 3
    size = {"rows": SIDE, "columns": SIDE, "samples_per_pixel": samples, "bits_stored": bits}
    mode = None if samples == 1 else 2
    return bytes(jpeg_ls.encode_buffer(pixels.tobytes(), lossy_error=lost, interleave_mode=mode, **size))


def _jpeg2000(pixels: Array, bits: int, *, reversible: bool) -> bytes:
    options: dict[str, Any] = {"codecformat": "j2k", "bitspersample": bits, "resolutions": 3, "numthreads": 1}
    return bytes(imagecodecs.jpeg2k_encode(pixels, level=0 if reversible else 60, reversible=reversible, **options))


def _tiled(pixels: Array, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG2000", no_jp2=True, num_resolutions=3, codeblock_size=(16, 16), **options)
    return file.getvalue()


def _rle(pixels: Array) -> bytes:
    samples = 1 if pixels.ndim == 2 else 3
    size = {"rows": SIDE, "columns": SIDE, "samples_per_pixel": samples, "bits_allocated": 8 * pixels.itemsize}
    return bytes(encode_pixel_data(pixels.tobytes(), byteorder="<", **size))


def streams(*, black: bool) -> dict[str, Stream]:
    """Return a stream of each kind by name."""
    grey, deep, deepest = (scene(bits, black=black) for bits in (8, 12, 16))
    colour = np.stack([grey, grey // 2, 255 - grey], axis=-1)
    of_grey = {
        "baseline JPEG": _jpeg(grey, level=90),
        "baseline JPEG with tables of its own": _jpeg(grey, level=90, optimize=True),
        "baseline JPEG with restart intervals": _opencv(grey, cv2.IMWRITE_JPEG_RST_INTERVAL, 5),
        "progressive JPEG": _opencv(grey, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        "JPEG 2000 with tiles": _tiled(grey, tile_size=(40, 24)),
        "JPEG 2000 with layers": _tiled(grey, quality_mode="rates", quality_layers=[20, 5, 1], progression="RPCL"),
        "JPEG 2000 with precincts": _tiled(grey, precinct_size=(32, 32), progression="PCRL"),
    }
    of_deep = {
        "extended JPEG": _jpeg(deep, level=90, bitspersample=12),
        "lossless JPEG": _jpeg(deep, lossless=True, predictor=1, bitspersample=12),
        "JPEG-LS": _jpeg_ls(deep, 12),
        "near-lossless JPEG-LS": _jpeg_ls(deep, 12, lost=2),
        "reversible JPEG 2000": _jpeg2000(deep, 12, reversible=True),
        "irreversible JPEG 2000": _jpeg2000(deep, 12, reversible=False),
    }
    of_colour = {
        "baseline JPEG in colour": _jpeg(colour, level=90, subsampling="444"),
        "baseline JPEG in colour, 4:2:2": _jpeg(colour, level=90, subsampling="422"),
        "baseline JPEG in colour, 4:2:0": _jpeg(colour, level=90, subsampling="420"),
        "lossless JPEG in colour": _jpeg(colour, lossless=True, predictor=1, colorspace="RGB", outcolorspace="RGB"),
        "JPEG-LS in colour": _jpeg_ls(colour, 8),
        "JPEG 2000 in colour": _jpeg2000(colour, 8, reversible=True),
        "HTJ2K in colour": bytes(imagecodecs.htj2k_encode(colour, level=0, reversible=True, rgb=True)),
    }
    of_deepest = {
        "lossless JPEG, predictor 4": _jpeg(deepest, lossless=True, predictor=4),
        "lossless JPEG, predictor 6": _jpeg(deepest, lossless=True, predictor=6),
        "HTJ2K": bytes(imagecodecs.htj2k_encode(deepest, level=0, reversible=True)),
    }
    groups = ((of_grey, grey, 8), (of_deep, deep, 12), (of_colour, colour, 8), (of_deepest, deepest, 16))
    found = {name: Stream(frame, layout_of(of, bits)) for group, of, bits in groups for name, frame in group.items()}
    for name, of, bits in (("RLE", grey, 8), ("RLE of 16 bits", deep, 12), ("RLE in colour", colour, 8)):
        found[name] = Stream(_rle(of), layout_of(of, bits), Codec.RLE)
    return found


def cuts(frame: bytes, *, start: int, places: int) -> Iterator[tuple[str, bytes]]:
    """Yield what is left of the frame after a loss at each of the places, with lengths that fit."""
    end = b"" if frame[:2] not in (b"\xff\xd8", b"\xff\x4f") else _END
    last = len(frame) - len(end)
    most = last - start
    for index in range(places):
        at = start + most * index // places if index < places - 10 else last - (places - index)
        yield f"cut at {at}", _with_lengths(frame[:at])
        yield f"cut at {at}, with an end", _with_lengths(frame[:at] + end)
        at = start + (most - _NEAR_END) * index // places
        yield f"zeros from {at}", frame[:at] + bytes(last - at) + end
        yield f"0xFF from {at}", frame[:at] + b"\xff" * (last - at) + end
        yield f"a gap at {at}", _with_lengths(frame[:at] + frame[at + (last - at) // 3 :])


def _with_lengths(frame: bytes) -> bytes:
    """Correct the length of the last tile-part, so that only its packets are too short."""
    at = frame.rfind(_TILE_PART)
    if not frame.startswith(b"\xff\x4f") or at < 0:
        return frame
    end = len(frame.removesuffix(_END))
    return frame[: at + 6] + struct.pack(">I", end - at) + frame[at + 10 :]
