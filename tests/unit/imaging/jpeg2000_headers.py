"""Make headers of JPEG 2000 frames segment by segment (ITU-T T.800, annexes A and I)."""

import struct

START, SOD, TAIL = b"\xff\x4f", b"\xff\x93", bytes(32)


def siz(
    right: int = 1024,
    bottom: int = 1024,
    *,
    left: int = 0,
    top: int = 0,
    tile: tuple[int, int, int, int] | None = None,
    depth: int = 7,
    sampling: tuple[tuple[int, int], ...] = ((1, 1),),
) -> bytes:
    """Return the image and tile size (A.5.1), by default of one tile and one component of 8 bits."""
    sizes = struct.pack(">8I", right, bottom, left, top, *(tile or (right, bottom, 0, 0)))
    components = b"".join(bytes((depth, across, down)) for across, down in sampling)
    length = 38 + len(components)
    return struct.pack(">HHH", 0xFF51, length, 0) + sizes + struct.pack(">H", len(sampling)) + components


def cod(
    wide: int = 6,
    high: int = 6,
    precincts: bytes = b"",
    *,
    levels: int = 0,
    own_colours: int = 0,
    transform: int = 1,
    flags: int | None = None,
) -> bytes:
    """Return a coding style (A.6.1); `wide` and `high` are exponents of two for the size of a code-block."""
    style = bool(precincts) if flags is None else flags
    head = struct.pack(">HHBBHB", 0xFF52, 12 + len(precincts), style, 0, 1, own_colours)
    return head + _parameters(wide, high, levels, transform, precincts)


def coc(wide: int = 6, high: int = 6, precincts: bytes = b"", *, levels: int = 0) -> bytes:
    """Return the coding style of the first component (A.6.2)."""
    head = struct.pack(">HHBB", 0xFF53, 9 + len(precincts), 0, bool(precincts))
    return head + _parameters(wide, high, levels, 1, precincts)


def _parameters(wide: int, high: int, levels: int, transform: int, precincts: bytes) -> bytes:
    return bytes((levels, wide - 2, high - 2, 0, transform)) + precincts


def sot(length: int) -> bytes:
    """Return the start of a tile-part with this length from here to its end (A.4.2)."""
    return struct.pack(">HHHIBB", 0xFF90, 10, 0, length, 0, 1)


def comment(content: bytes) -> bytes:
    """Return a comment segment (A.9.2)."""
    return struct.pack(">HHH", 0xFF64, 4 + len(content), 0) + content


def codestream(*segments: bytes, size: bytes | None = None) -> bytes:
    """Return a codestream that begins with its size."""
    return START + (siz() if size is None else size) + b"".join(segments)


def box(kind: bytes, content: bytes = b"", *, length: int | None = None) -> bytes:
    """Return a box of a JP2 file (I.4); `length` replaces its true length."""
    return struct.pack(">I4s", 8 + len(content) if length is None else length, kind) + content


def jp2(*boxes: bytes) -> bytes:
    """Return a JP2 file with these boxes behind its signature."""
    return box(b"jP  ", b"\r\n\x87\n") + b"".join(boxes)
