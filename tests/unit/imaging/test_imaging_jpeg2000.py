"""JPEG 2000 frames are rejected if decoding them would cost too much memory."""

import struct

import imagecodecs
import numpy as np
import pytest

from imaging.jpeg2000 import read_size

SIDE = 1024
ZEROS = np.zeros((SIDE, SIDE), np.uint8)


def codestream(
    side: int = SIDE,
    *,
    tile: int = 0,
    sampling: int = 1,
    block: int = 6,
    precincts: bytes = b"",
    in_tile: bytes = b"",
) -> bytes:
    """Return the headers of a frame of side x side pixels; blocks and precincts are exponents of two."""
    siz = struct.pack(">HHH8IH", 0xFF51, 41, 0, side, side, 0, 0, tile or side, tile or side, 0, 0, 1)
    siz += bytes((7, sampling, sampling))
    start_of_tile = struct.pack(">HHHIBB", 0xFF90, 10, 0, 0, 0, 1)
    return b"\xff\x4f" + siz + style(block, precincts) + start_of_tile + in_tile + b"\xff\x93" + b"\0" * 32


def style(block: int, precincts: bytes) -> bytes:
    """Return a COD segment with five decomposition levels."""
    head = struct.pack(">HHBBHB", 0xFF52, 12 + len(precincts), bool(precincts), 0, 1, 0)
    return head + bytes((5, block - 2, block - 2, 0, 1)) + precincts


@pytest.mark.parametrize("block", [4, 5, 6])
def test_usual_code_blocks_are_accepted(block: int) -> None:
    """The sizes are 16 x 16 to the usual 64 x 64, with usual precincts."""
    assert read_size(codestream(block=block)) == (SIDE, SIDE, 1, 8, False)
    assert read_size(codestream(block=block, precincts=b"\x77" + b"\x88" * 5)) is not None


@pytest.mark.parametrize("codecformat", ["j2k", "jp2"])
def test_bare_codestreams_and_jp2_files_are_read(codecformat: str) -> None:
    """DICOM requires the bare codestream; some writers store a JP2 file."""
    frame = bytes(imagecodecs.jpeg2k_encode(ZEROS, codecformat=codecformat))
    assert read_size(frame) == (SIDE, SIDE, 1, 8, False)


@pytest.mark.parametrize(
    "frame",
    [
        codestream(block=2),
        codestream(precincts=b"\x11" * 6),
        codestream(precincts=b"\x33" * 6),
        codestream(in_tile=style(2, b"")),
        codestream(in_tile=style(6, b"\x22" * 6)),
        codestream(65_535, tile=300),
        codestream(256, tile=2),
        codestream(sampling=2),
        b"",
        b"\xff\x4f\xff\x51",
    ],
    ids=[
        *("blocks", "precincts", "wide precincts", "blocks of a tile", "precincts of a tile"),
        *("tiles", "tiles of a small frame", "coarse", "empty", "cut"),
    ],
)
def test_frames_that_cost_too_much_memory_have_no_size(frame: bytes) -> None:
    """A hundred bytes that declare millions of blocks or tiles would take gigabytes."""
    assert read_size(frame) is None


def test_a_small_frame_may_have_any_code_blocks() -> None:
    """It cannot have many of them."""
    assert read_size(codestream(200, block=2)) is not None


def test_a_codestream_in_another_box_is_ignored() -> None:
    """A codestream that is hidden in another box is not the one that a decoder uses."""
    jp2 = bytes(imagecodecs.jpeg2k_encode(ZEROS, codecformat="jp2"))
    small = codestream(8)
    at = jp2.index(b"jp2c") - 4
    hidden = jp2[:at] + struct.pack(">I4s", 8 + len(small), b"uuid") + small + jp2[at:]

    assert read_size(hidden) == (SIDE, SIDE, 1, 8, False)


def test_a_jp2_file_with_a_palette_has_no_size() -> None:
    """A palette could expand one declared plane to 255 planes."""
    jp2 = bytes(imagecodecs.jpeg2k_encode(ZEROS, codecformat="jp2"))
    at = jp2.index(b"jp2h")
    length = struct.unpack_from(">I", jp2, at - 4)[0]
    box = struct.pack(">I4s", 8, b"pclr")
    coloured = jp2[: at - 4] + struct.pack(">I", length + 8) + jp2[at : at - 4 + length] + box + jp2[at - 4 + length :]

    assert read_size(coloured) is None
