"""Separate the stacks of one orientation by the attributes of their slices."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from imaging.series.placed import SAME_POSITION_MM, have_collisions, normal_of, positions_along
from imaging.series.slice_geometry import NO_ATTRIBUTES, SliceGeometry, StackAttributes

_CONTRASTS = ("stack_id", "temporal_position", "echo_number", "echo_time", "b_value", "contrast", "image_type")
"""Attributes that differ between contrasts. Slices with different values are different stacks if their positions
overlap."""
_COUNTERS = ("acquisition_number", "trigger_time", "gradient_direction")
"""Attributes that some devices count from slice to slice. They separate stacks only if slices lie at the same
position."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UnorderedStack:
    """Slices of one stack, and the attributes that separate it from other stacks."""

    slices: list[SliceGeometry]
    told_apart_by: StackAttributes = NO_ATTRIBUTES

    @property
    def is_ambiguous(self) -> bool:
        """Return whether two slices lie at the same position."""
        return have_collisions(positions_along(normal_of(self.slices), self.slices))


def tell_apart(slices: Sequence[SliceGeometry]) -> list[UnorderedStack]:
    """Return the stacks among slices of one orientation. Stacks that cannot be separated stay one ambiguous stack.

    Slices of different contrast (echo, time, b-value, agent, type) are different stacks if their positions overlap.
    If slices of a stack still share positions, the stack is split by the first attribute that separates all of them. If
    no single attribute does, it is split by all attributes together.
    """
    stacks = [UnorderedStack(slices=list(slices))]
    for name in _CONTRASTS:
        stacks = [part for stack in stacks for part in _parted_if_mixed(stack, name)]
    return [part for stack in stacks for part in _parted_if_ambiguous(stack)]


def _parted_if_mixed(stack: UnorderedStack, name: str) -> list[UnorderedStack]:
    parts = _part(stack, (name,))
    if len(parts) == 1 or not _are_mixed(parts, stack.slices):
        return [stack]
    return parts


def _are_mixed(parts: Sequence[UnorderedStack], slices: Sequence[SliceGeometry]) -> bool:
    """Return whether the ranges of two parts along the normal overlap by more than one position."""
    normal = normal_of(slices)
    placed = [positions_along(normal, part.slices) for part in parts]
    ranges = sorted((float(np.min(each)), float(np.max(each))) for each in placed)
    reached = -np.inf
    for low, high in ranges:
        if min(reached, high) - low > SAME_POSITION_MM:
            return True
        reached = max(reached, high)
    return False


def _parted_if_ambiguous(stack: UnorderedStack) -> list[UnorderedStack]:
    if not stack.is_ambiguous:
        return [stack]
    names = (*_COUNTERS, *_CONTRASTS)
    for tried in (*((name,) for name in names), names):
        parts = _part(stack, tried)
        if len(parts) > 1 and not any(part.is_ambiguous for part in parts):
            return parts
    return [stack]


def _part(stack: UnorderedStack, names: Iterable[str]) -> list[UnorderedStack]:
    """Split the stack: return one part for each combination of the values of these attributes."""
    varying = [name for name in names if len({getattr(piece.attributes, name) for piece in stack.slices}) > 1]
    parts: dict[Hashable, list[SliceGeometry]] = defaultdict(list)
    for piece in stack.slices:
        parts[tuple(getattr(piece.attributes, name) for name in varying)].append(piece)
    return [
        UnorderedStack(
            slices=part,
            told_apart_by=stack.told_apart_by._replace(**{name: getattr(part[0].attributes, name) for name in varying}),
        )
        for part in parts.values()
    ]
