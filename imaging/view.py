"""Define how a person wants to see a frame: its window and its viewport (PS3.18 section 8.3.5)."""

from dataclasses import dataclass

HEADER, FULL = "header", "full"
LARGEST_SIDE = 4096
"""Largest number of rows or columns of a rendered picture."""
LARGEST_VALUE = 1e9
"""Largest absolute value of a number in a window or region; no real image needs more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DisplayWindow:
    """A window in modality units, such as Hounsfield units."""

    center: float
    width: float
    function: str = "LINEAR"
    """VOI LUT function: LINEAR, LINEAR_EXACT or SIGMOID (PS3.3 C.11.2.1.2, C.11.2.1.3)."""


CT_WINDOWS = {
    "lung": DisplayWindow(center=-600, width=1500),
    "bone": DisplayWindow(center=400, width=1800),
    "brain": DisplayWindow(center=40, width=80),
    "soft-tissue": DisplayWindow(center=40, width=400),
}
"""Usual windows of CT in Hounsfield units, by name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Viewport:
    """The size of the rendered picture, and the region of the frame that it shows, in pixels of the frame."""

    width: int
    height: int
    left: float = 0
    top: float = 0
    region_width: float | None = None
    """Width of the region; None means up to the right edge. A negative width flips the picture horizontally."""
    region_height: float | None = None
    """Height of the region; None means up to the lower edge. A negative height flips the picture vertically."""


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """How a frame is shown."""

    window: DisplayWindow | str = HEADER
    """A window, or HEADER (the VOI of the header, else the range of the pixels), or FULL (all stored bits)."""
    viewport: Viewport | None = None
    """The size of the picture and the region that it shows. None means the whole frame in its own size, but at most
    LARGEST_SIDE."""


PLAIN_VIEW = View()
