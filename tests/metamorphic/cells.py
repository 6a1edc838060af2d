"""Write the file of a cell, and state what a network must get from it."""

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from metamorphic.axes import BITS, GREYS, NATIVE, SYNTAXES, Cell
from metamorphic.colours import ColourFrame, colour_frame, half_chroma, is_half_chroma
from metamorphic.elements import UNDEFINED, Form, element, encoded, header
from metamorphic.encapsulated import extended_table, pixel_items
from metamorphic.grey import GreyFrame, grey_frame
from metamorphic.headers import identification, image_header
from metamorphic.modality import Values
from metamorphic.streams import compressed
from metamorphic.words import stream_samples, words

PIXEL_DATA, FLOAT_PIXELS, DOUBLE_PIXELS = 0x7FE00010, 0x7FE00008, 0x7FE00009
TRAILING_PADDING = 0xFFFCFFFC


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """The file of one cell, with the frames that it holds."""

    data: bytes
    frames: tuple[GreyFrame | ColourFrame, ...]


def write(cell: Cell) -> Written:
    """Return the file of a cell."""
    count = 3 if cell.frames in ("3", "absent_3", "1_of_3", "2_of_3", "4_of_3") else 1
    of = grey_frame if cell.colour in GREYS else colour_frame
    frames = tuple(of(cell, frame) for frame in range(count))
    return Written(data=_file(cell, [frame.stored for frame in frames]), frames=frames)


def _file(cell: Cell, stored: list[Values]) -> bytes:
    form = _form(cell)
    start = encoded(identification(cell) | image_header(cell, len(stored)), form)
    if cell.file == "invalid_vr":
        start = start.replace(b"\x10\x00\xb0\x21LT", b"\x10\x00\xb0\x21--").replace(
            b"\0\x10\x21\xb0LT", b"\0\x10\x21\xb0--"
        )
    body = start + _pixels(cell, stored, form)
    if cell.file == "trailing_padding":
        body += element(TRAILING_PADDING, "OB", bytes(126), form)
    if cell.syntax == "deflated":
        packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        body = packer.compress(body) + packer.flush()
        body += b"\0" * (len(body) % 2)
    if cell.file == "trailing_zeros":
        body += bytes(512)
    return _prefix(cell) + body


def _form(cell: Cell) -> Form:
    implicit = cell.syntax == "implicit"
    if cell.file == "other_encoding":
        implicit = not implicit
    return Form(
        implicit=implicit,
        little=cell.syntax != "big",
        undefined=cell.file in ("undefined_lengths", "un_undefined"),
        un=cell.file in ("un", "un_undefined"),
        group_lengths=cell.file == "group_lengths",
    )


def _prefix(cell: Cell) -> bytes:
    """Return preamble and file meta information (PS3.10 section 7.1)."""
    if cell.file == "no_meta":
        return b""
    meta = encoded(
        {
            0x00020001: ("OB", b"\0\1"),
            0x00020002: ("UI", "1.2.840.10008.5.1.4.1.1.7"),
            0x00020003: ("UI", "1.2.3.4.5"),
            0x00020010: ("UI", SYNTAXES[cell.syntax]),
            0x00020012: ("UI", "1.2.3.4"),
        },
        Form(),
    )
    wrong = 12 if cell.file == "meta_length_wrong" else 0
    length = element(0x00020000, "UL", [len(meta) + wrong], Form())
    preamble = b"" if cell.file == "no_preamble" else bytes(128) + b"DICM"
    return preamble + length + meta


def _pixels(cell: Cell, stored: list[Values], form: Form) -> bytes:
    bits = BITS[cell.bits]
    if bits.floating:
        tag, vr = (FLOAT_PIXELS, "OF") if bits.allocated == 32 else (DOUBLE_PIXELS, "OD")
        values: Any = np.concatenate([frame.reshape(-1) for frame in stored])
        return element(tag, vr, _native(values, form) + _slack(cell), form)
    if cell.syntax in NATIVE:
        vr = "OW" if bits.allocated > 8 or cell.file == "ow" or form.implicit else "OB"
        raw = _packed(cell, stored, form)
        if cell.file == "ow" and not form.little:  # two pixels in each word, the first one in its low byte
            raw = np.frombuffer(raw + b"\0" * (len(raw) % 2), "<u2").astype(">u2").tobytes()
        raw += b"\0" * (len(raw) % 2) + _slack(cell)
        return header(PIXEL_DATA, vr, len(raw), form) + raw
    frames = [_compressed(cell, frame) for frame in stored]
    table = encoded(extended_table(frames, cell), form)
    return table + header(PIXEL_DATA, "OB", UNDEFINED, form) + pixel_items(frames, cell)


def _slack(cell: Cell) -> bytes:
    return b"\7" * 6 if cell.end == "slack" else b""


def _native(values: Values, form: Form) -> bytes:
    return values.astype(values.dtype.newbyteorder(form.order)).tobytes()


def _packed(cell: Cell, stored: list[Values], form: Form) -> bytes:
    """Return the frames one after the other, without padding between them (PS3.5 section 8.1.1)."""
    if cell.bits == "1":
        return np.packbits(np.concatenate([frame.reshape(-1) for frame in stored]), bitorder="little").tobytes()
    arranged = [words(_arranged(frame, cell), cell) for frame in stored]
    return b"".join(_native(frame, form) for frame in arranged)


def _arranged(frame: Values, cell: Cell) -> Values:
    if is_half_chroma(cell):
        return half_chroma(frame)
    return np.moveaxis(frame, -1, 0) if cell.colour.endswith("planar") else frame


def _compressed(cell: Cell, stored: Values) -> bytes:
    samples, precision = stream_samples(stored, cell)
    return compressed(samples, cell, precision)
