"""Place stored values in the bits of their words (PS3.5 section 8.1.1), and fill the unused bits."""

import numpy as np

from metamorphic.axes import BITS, DCT, JPEG_2000, Cell
from metamorphic.modality import Values


def words(stored: Values, cell: Cell) -> Values:
    """Return unsigned words of BitsAllocated."""
    allocated, count, high, _ = BITS[cell.bits]
    mask = (1 << count) - 1
    shift = high + 1 - count
    placed = (stored & mask) << shift
    spare = (1 << allocated) - 1 & ~(mask << shift)
    if cell.unused == "overlay":
        placed = np.where(_overlay(stored.shape), placed | spare, placed)
    elif cell.unused == "sign":
        placed = np.where(stored < 0, placed | spare >> high + 1 << high + 1, placed)
    return placed.astype(f"u{allocated // 8}")


def stream_samples(stored: Values, cell: Cell) -> tuple[Values, int]:
    """Return the samples of a compressed frame, and the bits of each that its header declares."""
    allocated, count, _, _ = BITS[cell.bits]
    whole = cell.precision != "stored"
    precision = allocated if whole else count
    if cell.syntax in DCT or cell.colour == "lossless_is_baseline":  # these have 8 or 12 bits
        return (stored.astype("u1"), 8) if precision <= 8 else (stored.astype("u2"), 12)
    samples = words(stored, cell) if whole else (stored & (1 << count) - 1)
    samples = samples.astype(samples.dtype if cell.syntax == "rle" else "u1" if precision <= 8 else "u2")
    if cell.sign == "signed" and cell.syntax in JPEG_2000:  # the only streams with a sign of their own
        samples = samples.view(f"i{samples.itemsize}")
        unused = 8 * samples.itemsize - precision
        samples = (samples << unused) >> unused
    return np.ascontiguousarray(samples), precision


def _overlay(shape: tuple[int, ...]) -> Values:
    """Return a mask of a box in the middle of the picture."""
    box = np.zeros(shape, np.bool_)
    box[shape[0] // 4 : shape[0] // 2, shape[1] // 4 : shape[1] // 2] = True
    return box
