"""Place a frame in the input of a network: which part of it, and where."""

from typing import NamedTuple

from imaging.spec import InputSpec


class Placement(NamedTuple):
    """Rows and columns of the part of the frame, and the rows and columns of the input that it is resized to."""

    source: tuple[slice, slice]
    target: tuple[slice, slice]


def placement(rows: int, columns: int, spec: InputSpec) -> Placement:
    """Return where `prepare` puts a frame of this size; the rest of the input, if any, is padding."""
    height, width = spec.height, spec.width
    source = slice(0, rows), slice(0, columns)
    if spec.aspect == "pad":
        scale = min(height / rows, width / columns)
        height, width = max(round(rows * scale), 1), max(round(columns * scale), 1)
    elif spec.aspect == "crop":
        scale = max(height / rows, width / columns)
        source = _middle(rows, round(height / scale)), _middle(columns, round(width / scale))
    return Placement(source, (_middle(spec.height, height), _middle(spec.width, width)))


def _middle(whole: int, part: int) -> slice:
    part = max(part, 1)
    start = (whole - part) // 2
    return slice(start, start + part)
