"""Assign patients or images to the parts of a data set by a hash, independent of the order of files."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from functools import partial
from hashlib import blake2b
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from imaging.array import Array

TRAIN, VALIDATION, TEST = range(3)
THREE_WAYS = (0.70, 0.15, 0.15)
"""The shares of the training, validation and test part."""
TRAINING_ONLY = (0.85, 0.15, 0.0)
"""The shares if the test part is given, but not the validation part: only the training part is split."""

Groups = Mapping[str, frozenset[int]]
"""The labels of each group, by the key of the group.

A group is all images of one patient. If the patient is unknown, it is all images of one study or of equal content.
"""


def assign_parts(groups: Groups, *, seed: int, shares: tuple[float, float, float] = THREE_WAYS) -> dict[str, int]:
    """Return the part of each group: TRAIN, VALIDATION or TEST.

    The position of a group in [0, 1) depends only on the seed and its key, so that a growing data set keeps its test
    part. Small data sets are an exception: if a part has no image of a label, a group with this label is moved into it.
    Of the groups that may leave their part (see `_movable`), the group whose position is nearest to the part is moved.
    """
    positions = {key: _position(key, seed) for key in sorted(groups)}
    borders = [0.0, *accumulate(shares)]
    parts = {key: min(bisect_right(borders, position), len(shares)) - 1 for key, position in positions.items()}
    for label in sorted(frozenset().union(*groups.values())):
        for part in (TRAIN, TEST, VALIDATION):
            is_missing = not any(parts[key] == part and label in labels for key, labels in groups.items())
            if shares[part] and is_missing:
                middle = (borders[part] + borders[part + 1]) / 2
                movable = _movable(label, groups, parts, allow_last=part == TRAIN)
                parts.update(dict.fromkeys(sorted(movable, key=partial(_distance, positions, middle))[:1], part))
    return parts


def hold_out(stored: Array, *, seed: int, share: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Hold out exactly `share` of the images, by a hash of their content; return the kept and the held-out indices."""
    rows = np.ascontiguousarray(stored).reshape(len(stored), -1)
    positions = np.array([_position(row.tobytes(), seed) for row in rows])
    order = np.argsort(positions, kind="stable")
    count = round(len(stored) * share)
    return np.sort(order[count:]), np.sort(order[:count])


def _position(key: str | bytes, seed: int) -> float:
    """Return a hash of the key as a number, uniform in [0, 1)."""
    digest = blake2b(key.encode() if isinstance(key, str) else key, digest_size=8, salt=_salt(seed))
    return (int.from_bytes(digest.digest(), "big") >> 11) / (1 << 53)


def _salt(seed: int) -> bytes:
    return blake2b(str(seed).encode(), digest_size=blake2b.SALT_SIZE).digest()


def _movable(label: int, groups: Groups, parts: Mapping[str, int], *, allow_last: bool) -> list[str]:
    """Return the groups with this label that can be moved without removing a label from their part.

    With `allow_last`, their part may lose `label`, but no other label. Set it if `label` has no training image, because
    that is worse than a label without test images.
    """
    held = Counter((parts[key], each) for key, labels in groups.items() for each in labels)
    return [
        key
        for key, labels in groups.items()
        if label in labels and all(held[parts[key], each] > 1 for each in labels if not (allow_last and each == label))
    ]


def _distance(positions: Mapping[str, float], middle: float, key: str) -> tuple[float, str]:
    return abs(positions[key] - middle), key
