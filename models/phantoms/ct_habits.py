"""Define the ways in which devices and archives write a CT series: numbers, tags and additional or missing files."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np


class SeriesHabit(StrEnum):
    """One way in which a device or an archive writes a series."""

    PLAIN = "plain"
    """The slices are numbered from foot to head."""
    HEAD_FIRST = "head-first"
    """The slices are numbered from head to foot."""
    RENUMBERED = "renumbered"
    """The numbers of the slices do not follow their order in space, as after renumbering by an archive."""
    FEW_TAGS = "few-tags"
    """The headers have no slice thickness, spacing between slices or slice location."""
    TILTED = "tilted"
    """The gantry was tilted by 12 degrees."""
    TWO_STACKS = "two-stacks"
    """The series has two acquisitions of the same slices, with different Acquisition Numbers."""
    LOCALIZER = "localizer"
    """A localizer is part of the series, marked in Image Type."""
    UNMARKED_SCOUT = "unmarked-scout"
    """A coronal scout is part of the series, and nothing marks it."""
    DUPLICATES = "duplicates"
    """Three slices were stored again under other SOP Instance UIDs."""
    GAP = "gap"
    """Two slices without a nodule are missing."""
    AMBIGUOUS = "ambiguous"
    """The series has two acquisitions of the same slices, which no attribute distinguishes."""


ADMITTED = tuple(habit for habit in SeriesHabit if habit is not SeriesHabit.AMBIGUOUS)
"""The habits of a realistic mixture: each gives a series with a result."""
TILT_DEGREES = 12.0
_COPIES = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedSlice:
    """One file of a series."""

    position: int
    """Index of the slice in the volume, from the foot."""
    instance_number: int
    acquisition: int | None = 1
    is_localizer: bool = False
    """Whether the file is a coronal localizer; its pixels are plain noise."""
    is_marked: bool = False
    """Whether the Image Type of the localizer says LOCALIZER."""


def plan_series(habit: SeriesHabit, has_nodule: np.ndarray, rng: np.random.Generator) -> list[PlannedSlice]:
    """Return the files of a series with this habit; `has_nodule`, (slices,), marks slices that must not be missing."""
    count = len(has_nodule)
    numbers = np.arange(1, count + 1)
    if habit is SeriesHabit.HEAD_FIRST:
        numbers = numbers[::-1]
    elif habit is SeriesHabit.RENUMBERED:
        numbers = rng.permutation(numbers)
    plan = [PlannedSlice(position=index, instance_number=int(number)) for index, number in enumerate(numbers)]
    if habit is SeriesHabit.GAP:
        missing = _clear_pair(has_nodule)
        return [each for each in plan if each.position not in missing]
    return plan + _added(habit, count, rng)


def _added(habit: SeriesHabit, count: int, rng: np.random.Generator) -> list[PlannedSlice]:
    if habit in (SeriesHabit.TWO_STACKS, SeriesHabit.AMBIGUOUS):
        acquisition = 2 if habit is SeriesHabit.TWO_STACKS else 1
        return [
            PlannedSlice(position=index, instance_number=count + 1 + index, acquisition=acquisition)
            for index in range(count)
        ]
    if habit in (SeriesHabit.LOCALIZER, SeriesHabit.UNMARKED_SCOUT):
        marked = habit is SeriesHabit.LOCALIZER
        return [PlannedSlice(position=0, instance_number=0, is_localizer=True, is_marked=marked)]
    if habit is SeriesHabit.DUPLICATES:
        chosen = sorted(rng.choice(count, min(_COPIES, count), replace=False).tolist())
        return [PlannedSlice(position=index, instance_number=index + 1) for index in chosen]
    return []


def _clear_pair(has_nodule: np.ndarray) -> tuple[int, ...]:
    """Return two successive slices inside the volume that show no nodule; none if there are no such slices."""
    pairs = [index for index in range(2, len(has_nodule) - 4) if not has_nodule[index - 2 : index + 4].any()]
    return (pairs[len(pairs) // 2], pairs[len(pairs) // 2] + 1) if pairs else ()
