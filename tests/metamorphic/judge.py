"""Read the file of a cell as a worker does, and say what is wrong with the input of the network."""

from collections.abc import Iterable
from functools import cache

import numpy as np

from imaging.dicom_image import DicomImage, Frame
from imaging.prepare import prepare
from imaging.read import read
from imaging.remarks import Remark
from imaging.spec import InputSpec, Intensity
from metamorphic.axes import GREYS, SIZES, UNCODED, Cell
from metamorphic.cells import Written, write
from metamorphic.colours import ColourFrame
from metamorphic.grey import GreyFrame, is_coarse
from metamorphic.pictures import grey
from metamorphic.voi import UNUSABLE
from nightread.errors import RejectImage
from nightread.reasons import Reason

_UNCOUNTED = ("absent_3", "1_of_3", "2_of_3")
_LIKENESS = 0.02
"""By how much a cell with enough grey levels may differ from the abstract picture."""


def complaints(cells: Iterable[Cell]) -> list[str]:
    """Return one line for each cell that is neither equal nor says why not."""
    found = ((cell, complaint(cell)) for cell in cells)
    return [f"{cell.id}: {words}" for cell, words in found if words]


def complaint(cell: Cell) -> str:
    """Return what is wrong, empty if nothing is."""
    written = write(cell)
    unlike = _unlike_picture(cell, written)
    if unlike:
        return unlike
    try:
        image = read(written.data)
        frames = list(image.frames())
        wrong = next(filter(None, (_wrong(cell, *pair) for pair in zip(frames, written.frames, strict=False))), "")
    except RejectImage as rejected:
        return "" if _may_reject(cell, rejected) else f"rejected ({rejected.reason}): {rejected.detail}"
    return wrong or _wrong_outcome(cell, image, len(frames), len(written.frames))


def _may_reject(cell: Cell, rejected: RejectImage) -> bool:
    """Return whether this is the outcome that the standard and the levels of the cell demand."""
    return cell.frames == "4_of_3" and rejected.reason == Reason.TRUNCATED


def _wrong_outcome(cell: Cell, image: DicomImage, frames: int, written: int) -> str:
    """Compare the remarks with those that the levels demand and permit: a lawful file gets none."""
    remarks = set((image.remarks.words or "").split())
    demanded, permitted = set[str](), set[str]()
    if cell.colour in GREYS and cell.voi in UNUSABLE:
        demanded.add(Remark.VOI_NOT_USED)
    if cell.frames in _UNCOUNTED:
        (permitted if frames == written else demanded).add(
            Remark.FRAMES_COUNTED if frames == written else Remark.FRAMES_LEFT_OUT
        )
    elif frames != written:
        return f"{frames} frames, not {written}"
    if cell.frames == "4_of_3":
        demanded.add(Remark.FRAMES_COUNTED)
    if cell.colour == "422label_444data" and cell.syntax in UNCODED:
        demanded.add(Remark.COLOUR_UNSURE)
    if cell.end != "plain":
        permitted.add(Remark.PIXELS_UNCLOSED)
    if cell.slip in ("no_photometric", "empty_photometric"):
        demanded.add(Remark.PHOTOMETRIC_ASSUMED)
    if demanded <= remarks <= demanded | permitted:
        return ""
    return f"remarks are {sorted(remarks)}; demanded {sorted(demanded)}, permitted {sorted(permitted)}"


def _wrong(cell: Cell, frame: Frame, truth: GreyFrame | ColourFrame) -> str:
    rows, columns = SIZES[cell.size]
    got = prepare(frame, _spec(rows, columns, Intensity(kind="voi")))
    if isinstance(truth, ColourFrame):
        return _difference("colours", np.abs(got - truth.shown), truth.tolerance, truth.mask)
    shown = _difference("display values", np.abs(got - truth.shown[..., None]), truth.tolerance)
    fixed = prepare(frame, _spec(rows, columns, Intensity(kind="window", low=truth.window[0], high=truth.window[1])))
    return shown or _difference("modality values", np.abs(fixed - truth.modality_shown[..., None]), truth.tolerance)


@cache
def _spec(rows: int, columns: int, intensity: Intensity) -> InputSpec:
    return InputSpec(height=rows, width=columns, channels=3, intensity=intensity)


def _difference(what: str, off: np.ndarray, tolerance: float, mask: np.ndarray | None = None) -> str:  # type: ignore[type-arg]
    if mask is not None:
        off = off[mask]
    if not np.isfinite(off).all():
        return f"{what} are not finite"
    share = float((off > tolerance).mean())
    return f"{what} are off by up to {off.max():.3f} in {share:.0%} of pixels" if share else ""


def _unlike_picture(cell: Cell, written: Written) -> str:
    """Check the matrix itself: each file holds the same picture, within the rounding of its form."""
    for number, frame in enumerate(written.frames):
        if isinstance(frame, GreyFrame):
            off = float(np.abs(frame.shown - grey(*SIZES[cell.size], number)).max())
            rough = is_coarse(cell) or (cell.modality == "per_frame" and cell.voi != "per_frame")
            if off > (frame.rounding if rough else min(frame.rounding, _LIKENESS)):
                return f"the matrix wrote another picture: off by {off:.3f}"
    return ""
