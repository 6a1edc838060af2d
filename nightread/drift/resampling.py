"""Draw nights from a reference, study by study, to learn how far two nights differ if nothing has changed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nightread.drift.measures import Counts
from nightread.drift.reference import DriftReference, Stratum

_MOST_IMAGES = 5000
"""Approximate maximum number of images in a drawn night. The size of a larger night matters little, because no limit of
a distance is below FLOOR (nightread.drift.judgement)."""
_MOST_AT_ONCE = 4_000_000
"""Largest number of drawn studies in one array, which then takes 32 MB."""


@dataclass(frozen=True, kw_only=True)
class Redrawn:
    """Nights and references that were drawn from a reference. Both vary, because a reference is a sample too."""

    nights: Counts
    """Number of images in each bin, (draws, bins), by measure."""
    references: Counts


def redraw(
    reference: DriftReference, stratum: Stratum | None, images: int, times: int, rng: np.random.Generator
) -> Redrawn:
    """Draw `times` nights of about `images` images from a stratum of the reference; for None, from all of it.

    Whole studies are drawn with replacement, because images of one study resemble each other. For each night a
    reference is drawn in the same way, with as many studies as `reference` has.
    """
    table, slices = _block_counts(reference, stratum)
    blocks = len(table)
    per_night = max(1, round(min(images, _MOST_IMAGES) * blocks / max(1, len(reference.of_stratum(stratum)))))
    nights, references = (_drawn(table, size, times, rng) for size in (per_night, blocks))
    return Redrawn(
        nights={name: nights[:, place] for name, place in slices.items()},
        references={name: references[:, place] for name, place in slices.items()},
    )


def _block_counts(reference: DriftReference, stratum: Stratum | None) -> tuple[NDArray[np.float32], dict[str, slice]]:
    """Return a table of image counts, with a row for each block and a column for each bin of all measures.

    Also return which columns belong to each measure.
    """
    chosen = reference.of_stratum(stratum)
    blocks, block = np.unique(reference.block[chosen], return_inverse=True)
    slices, first = {}, 0
    for name, bins in reference.measures.bins.items():
        slices[name] = slice(first, first + len(bins))
        first += len(bins)
    table = np.zeros((len(blocks), first), np.float32)
    for name, place in slices.items():
        np.add.at(table, (block, place.start + reference.codes[name][chosen].astype(np.int64)), 1)
    return table, slices


def _drawn(table: NDArray[np.float32], size: int, times: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return sums of `size` rows that are drawn with replacement, (times, columns)."""
    blocks = len(table)
    sums = np.empty((times, table.shape[1]), np.float32)
    step = max(1, _MOST_AT_ONCE // max(size, blocks))
    for begin in range(0, times, step):
        count = min(step, times - begin)
        drawn = rng.integers(0, blocks, (count, size)) + np.arange(count)[:, None] * blocks
        often = np.bincount(drawn.ravel(), minlength=count * blocks).reshape(count, blocks)
        sums[begin : begin + count] = often.astype(np.float32) @ table
    return sums.astype(np.int64)
