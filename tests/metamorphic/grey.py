"""Store the grey picture: choose the stored value of each pixel that is shown as the picture wants it."""

from typing import Any, NamedTuple

import numpy as np

from metamorphic.axes import BITS, SIZES, Cell
from metamorphic.modality import IN_GROUPS, Values, candidates, modality
from metamorphic.pictures import grey
from metamorphic.rules import INTEGER_LUTS
from metamorphic.streams import LOST
from metamorphic.voi import Voi, voi


class GreyFrame(NamedTuple):
    """One frame as integers or floats, and what a network must get."""

    stored: Values
    shown: Values
    """Display values with the VOI of the header: 0 black, 1 white."""
    modality_shown: Values
    """Display values with a fixed window over all modality values, which ignores the VOI of the header."""
    window: tuple[float, float]
    """That window."""
    tolerance: float
    rounding: float
    """By how much the shown values can differ from the abstract picture, because few stored values exist."""


def transforms(cell: Cell, frame: int) -> tuple[Any, Voi]:
    """Return modality transform and VOI of a frame. A VOI for all frames is fitted to the first one."""
    of_frame = modality(cell, frame)
    shared = of_frame if cell.voi == "per_frame" else modality(cell, 0)
    if cell.voi in ("none", "empty") or cell.voi.startswith(("width", "nan", "lut_empty")):
        shared = of_frame
    return of_frame, voi(cell, shared, frame)


def grey_frame(cell: Cell, frame: int) -> GreyFrame:
    """Return one frame of the picture as the cell stores it."""
    picture = grey(*SIZES[cell.size], frame)
    transform, mapping = transforms(cell, frame)
    possible = candidates(cell)
    if cell.voi in INTEGER_LUTS:  # between two entries of a table the standard does not choose
        fractions = transform(possible) % 1
        possible = possible[np.abs(fractions - 0.5) > 0.01]
    inverted = cell.colour == "MONOCHROME1"
    table = _oriented(mapping.shown(transform(possible)), inverted=inverted)
    chosen, gap = _nearest(table, picture)
    stored = possible[chosen]
    of_modality = (transform(possible) - transform.low) / (transform.high - transform.low)
    modality_gap = float(np.abs(np.diff(of_modality)).max(initial=0))
    lost = LOST.get(cell.syntax, 0)
    return GreyFrame(
        stored=stored,
        shown=table[chosen],
        modality_shown=_oriented(of_modality, inverted=inverted)[chosen],
        window=(transform.low, transform.high),
        tolerance=0.0015 + lost * max(gap, modality_gap) + _float_rounding(cell, transform.high),
        rounding=max(gap / 2, float(table.min()), 1 - float(table.max())) + 1e-6,
    )


def _float_rounding(cell: Cell, largest: float) -> float:
    """Return what a float32 cannot tell apart, if the window is so narrow that it shows."""
    return float(np.spacing(np.float32(largest))) / 0.5 if cell.voi == "narrow" else 0.0


def _oriented(shown: Values, *, inverted: bool) -> Values:
    shown = np.clip(shown, 0, 1)
    return 1 - shown if inverted else shown


def _nearest(table: Values, picture: Values) -> tuple[Values, float]:
    """Return for each pixel the candidate that is shown most similarly, and the largest step between two of them.

    Black and white pixels get the outermost candidates, far beyond the window.
    """
    order = np.argsort(table, kind="stable")
    ordered = table[order]
    at = np.clip(np.searchsorted(ordered, picture), 1, len(ordered) - 1)
    at -= picture - ordered[at - 1] < ordered[at] - picture
    chosen = order[at]
    darkest, brightest = (0, len(table) - 1) if table[0] <= table[-1] else (len(table) - 1, 0)
    chosen[picture == 0], chosen[picture == 1] = darkest, brightest
    return chosen, float(np.diff(ordered).max(initial=0))


def group_items(cell: Cell, frame: int) -> tuple[dict[int, Any], dict[int, Any]]:
    """Return the modality elements and the VOI elements that belong into functional groups."""
    transform, mapping = transforms(cell, frame)
    own = transform.elements if cell.modality in IN_GROUPS else {}
    return dict(own), dict(mapping.elements) if cell.voi in IN_GROUPS else {}


def is_coarse(cell: Cell) -> bool:
    """Return whether the cell has too few grey levels, or a window too steep, to show the picture well."""
    return BITS[cell.bits].stored < 8 or cell.voi in ("narrow", "one_wide")
