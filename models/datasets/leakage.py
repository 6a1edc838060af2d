"""Find images and patients that are in two parts of a data set. They make the figures of a part too good."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import combinations

import numpy as np

from imaging.array import Array

CONTENT, PATIENT = "content", "patient"
_PARTS = ("training", "validation", "test")
_WHAT = {CONTENT: "has the same bytes as an image", PATIENT: "is of a patient (by its header) who also has an image"}
_WHAT_MANY = {
    CONTENT: "have the same bytes as images",
    PATIENT: "are of patients (by their headers) who also have images",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Leak:
    """Images of one part whose bytes or patients are also in another part."""

    what: str
    """What the parts share: CONTENT (images with the same bytes) or PATIENT (images of the same patient)."""
    part: str
    """The part that should be unseen: `validation` or `test`."""
    seen_in: str
    """The other part, which shares bytes or patients with `part`: `training` or `validation`."""
    images: int
    """The number of images in `part` whose bytes or patients are also in `seen_in`."""

    def __str__(self) -> str:
        """Return what the parts share, the effect on the figures, and what to do."""
        one = self.images == 1
        images = "1 image" if one else f"{self.images:,} images"
        shared = (_WHAT if one else _WHAT_MANY)[self.what]
        remedy = "Remove the copies." if self.what == CONTENT else "Keep each patient in one part."
        return (
            f"Leakage: {images} of the {self.part} part {shared} of the {self.seen_in} part, so the figures of the "
            f"{self.part} part are better than figures of new images. {remedy}"
        )


def leaks_between(what: str, keys: Sequence[Sequence[str | bytes | None]]) -> tuple[Leak, ...]:
    """Return the images that two parts share. `keys` has one key per image of each part; None if the key is unknown."""
    return tuple(_leaks(what, dict(zip(_PARTS, keys, strict=True))))


def array_keys(stored: Array) -> list[bytes]:
    """Return one key per image (images, ...): equal keys mean equal bytes."""
    rows = np.ascontiguousarray(stored)
    return [blake2b(row.tobytes(), digest_size=16).digest() for row in rows]


def _leaks(what: str, keys: Mapping[str, Sequence[str | bytes | None]]) -> Iterator[Leak]:
    known = {part: {key for key in found if key is not None} for part, found in keys.items()}
    for seen_in, part in combinations(_PARTS, 2):
        images = sum(key in known[seen_in] for key in keys[part])
        if images:
            yield Leak(what=what, part=part, seen_in=seen_in, images=images)
