"""Which part of a data set a patient or an image belongs to: decided by a hash, never by the order of files."""

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
TRAINING_ONLY = (0.85, 0.15, 0.0)
"""Of the training part where the test part is given and a validation part is not."""

Groups = Mapping[str, frozenset[int]]
"""Key of a patient (or of an image without one) -> the labels that occur in it."""


def assign(groups: Groups, *, seed: int, shares: tuple[float, float, float] = THREE_WAYS) -> dict[str, int]:
    """Each group's part: TRAIN, VALIDATION or TEST.

    A group's place depends on the seed and its key alone, so a data set that grows keeps its test part. Only where a
    part lacks a label that enough groups have (small sets), the nearest of these groups moves over.
    """
    places = {key: _place(key, seed) for key in sorted(groups)}
    borders = [0.0, *accumulate(shares)]
    parts = {key: min(bisect_right(borders, place), len(shares)) - 1 for key, place in places.items()}
    for label in sorted(frozenset().union(*groups.values())):
        for part in (TRAIN, TEST, VALIDATION):
            lacks = not any(parts[key] == part and label in labels for key, labels in groups.items())
            if shares[part] and lacks:
                middle = (borders[part] + borders[part + 1]) / 2
                spare = _spare(label, groups, parts, even_the_last=part == TRAIN)
                parts.update(dict.fromkeys(sorted(spare, key=partial(_distance, places, middle))[:1], part))
    return parts


def take_out(stored: Array, *, seed: int, share: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of what stays and of the `share` that is taken out: exactly so many, by the hash of their content."""
    rows = np.ascontiguousarray(stored).reshape(len(stored), -1)
    places = np.array([_place(row.tobytes(), seed) for row in rows])
    order = np.argsort(places, kind="stable")
    count = round(len(stored) * share)
    return np.sort(order[count:]), np.sort(order[:count])


def _place(key: str | bytes, seed: int) -> float:
    """Uniform in [0, 1)."""
    digest = blake2b(key.encode() if isinstance(key, str) else key, digest_size=8, salt=_salt(seed))
    return (int.from_bytes(digest.digest(), "big") >> 11) / (1 << 53)


def _salt(seed: int) -> bytes:
    return blake2b(str(seed).encode(), digest_size=blake2b.SALT_SIZE).digest()


def _spare(label: int, groups: Groups, parts: Mapping[str, int], *, even_the_last: bool) -> list[str]:
    """Groups with the label that can leave their part without taking the last of any label from it.

    `even_the_last`: it may be the last of this one, since a label that is never taught is worse than one never tested.
    """
    held = Counter((parts[key], each) for key, labels in groups.items() for each in labels)
    return [
        key
        for key, labels in groups.items()
        if label in labels
        and all(held[parts[key], each] > 1 for each in labels if not (even_the_last and each == label))
    ]


def _distance(places: Mapping[str, float], middle: float, key: str) -> tuple[float, str]:
    return abs(places[key] - middle), key
