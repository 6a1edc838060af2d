"""Parse the parameters of a rendered picture, in the syntax of PS3.18, section 8.3.5.1."""

import math
import re

from imaging.view import (
    CT_WINDOWS,
    FULL,
    HEADER,
    LARGEST_SIDE,
    LARGEST_VALUE,
    DisplayWindow,
    Viewport,
)

_NUMBER = re.compile(r"[+-]?(\d{1,15}(\.\d{0,15})?|\.\d{1,15})([eE][+-]?\d{1,2})?", re.ASCII)
_SIZE, _REGION = 2, 6
FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
WINDOW_NAMES = (HEADER, FULL, *CT_WINDOWS)
_WINDOW_WANTED = (
    "window must be center,width or center,width,function (width above 0; function linear, linear-exact or sigmoid), "
    f"or one of the names {', '.join(WINDOW_NAMES)}."
)


def window_of(text: str) -> DisplayWindow | str:
    """Return the window `center,width[,function]`, or a name in WINDOW_NAMES. Raises ValueError with a sentence."""
    if text in WINDOW_NAMES:
        return text
    parts = text.split(",")
    function = parts[2].upper().replace("-", "_") if len(parts) == 3 else "LINEAR"  # noqa: PLR2004
    numbers = [_number(part) for part in parts[:2]]
    center, width = (*numbers, None)[:2]
    if center is None or width is None or width <= 0 or len(parts) > 3 or function not in FUNCTIONS:  # noqa: PLR2004
        raise ValueError(_WINDOW_WANTED)
    return DisplayWindow(center=center, width=width, function=function)


def viewport_of(text: str) -> Viewport:
    """Return the viewport `width,height[,left,top,width,height]`; the last four numbers may be empty.

    Raises ValueError with a sentence.
    """
    parts = text.split(",")
    if not _SIZE <= len(parts) <= _REGION:
        raise ValueError("viewport must be width,height or width,height,left,top,width,height.")
    if not all(re.fullmatch(r"\d{1,5}", part, re.ASCII) and 1 <= int(part) <= LARGEST_SIDE for part in parts[:_SIZE]):
        raise ValueError(f"viewport needs a width and a height from 1 to {LARGEST_SIDE}, as whole numbers.")
    region = [None if part == "" else _number(part) for part in parts[_SIZE:]]
    if any(part and number is None for part, number in zip(parts[_SIZE:], region, strict=True)) or 0 in region[2:]:
        raise ValueError(
            "viewport: left, top, width and height of the region must be numbers or empty, and width and height not 0."
        )
    left, top, width, height = (*region, None, None, None, None)[:4]
    if (left or 0) < 0 or (top or 0) < 0:
        raise ValueError("viewport needs a left and a top of 0 or more.")
    return Viewport(
        width=int(parts[0]),
        height=int(parts[1]),
        left=left or 0.0,
        top=top or 0.0,
        region_width=width,
        region_height=height,
    )


def _number(text: str) -> float | None:
    if not _NUMBER.fullmatch(text.strip()):
        return None
    value = float(text)
    return value if math.isfinite(value) and abs(value) <= LARGEST_VALUE else None
