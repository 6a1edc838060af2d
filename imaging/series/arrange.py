"""Arrange the slices of a series: leave out localizers and copies, separate the stacks, and sort each by position."""

from collections.abc import Callable, Hashable, Iterable, Sequence

from imaging.series.measured import measured
from imaging.series.placed import by_orientation, has_geometry, normal_of, positions_along
from imaging.series.rules import EVERY_SERIES, SeriesRefusal, SeriesRules
from imaging.series.series_order import LeftOutReason, LeftOutSlice, SeriesOrder, SliceStack
from imaging.series.slice_geometry import SliceGeometry
from imaging.series.stacks import tell_apart

_LOCALIZER = "LOCALIZER"
_FEW_ACROSS, _TIMES_AS_MANY = 3, 4
"""Up to 3 slices of one orientation count as a localizer if another orientation has at least 4 times as many."""
_POSITION_DIGITS = 2


def arrange(slices: Iterable[SliceGeometry], rules: SeriesRules = EVERY_SERIES) -> SeriesOrder:
    """Return the stacks of a series in order, and the slices that belong to no stack, each with the reason.

    The order follows Image Position and Image Orientation (PS3.3 C.7.6.2), never Instance Number. The result does not
    depend on the order of `slices`.
    """
    left_out: list[LeftOutSlice] = []
    kept = sorted(slices, key=lambda piece: (piece.key, piece.frame), reverse=True)
    kept = _without(kept, _is_localizer, LeftOutReason.LOCALIZER, left_out)
    kept = _without(kept, lambda piece: not has_geometry(piece), LeftOutReason.NO_GEOMETRY, left_out)
    kept = _without_repeated(kept, _same_object, left_out)
    groups = _without_few_across(by_orientation(kept), left_out)
    stacks = [measured(stack, rules) for group in groups for stack in tell_apart(_without_copies(group, left_out))]
    stacks.sort(key=_by_size)
    return SeriesOrder(stacks=tuple(stacks), left_out=tuple(left_out), refusal=_refusal(stacks))


def _is_localizer(piece: SliceGeometry) -> bool:
    return _LOCALIZER in (piece.attributes.image_type or "").upper().split("\\")


def _without(
    slices: Sequence[SliceGeometry],
    is_out: Callable[[SliceGeometry], bool],
    reason: LeftOutReason,
    left_out: list[LeftOutSlice],
) -> list[SliceGeometry]:
    kept: list[SliceGeometry] = []
    for piece in slices:
        if is_out(piece):
            left_out.append(LeftOutSlice(slice=piece, reason=reason))
        else:
            kept.append(piece)
    return kept


def _without_repeated(
    slices: Sequence[SliceGeometry],
    identity: Callable[[SliceGeometry], Hashable | None],
    left_out: list[LeftOutSlice],
) -> list[SliceGeometry]:
    """Leave out each slice whose identity equals that of a slice with a higher key. Slices with identity None stay."""
    seen: set[Hashable] = set()

    def is_repeated(piece: SliceGeometry) -> bool:
        key = identity(piece)
        repeated = key is not None and key in seen
        seen.add(key)
        return repeated

    return _without(slices, is_repeated, LeftOutReason.DUPLICATE, left_out)


def _same_object(piece: SliceGeometry) -> Hashable | None:
    return None if piece.sop_instance_uid is None else (piece.sop_instance_uid, piece.frame)


def _without_copies(slices: Sequence[SliceGeometry], left_out: list[LeftOutSlice]) -> list[SliceGeometry]:
    """Leave out copies of slices that have another UID.

    A copy has the same Instance Number, attributes, frame and position along the normal.
    """
    along = positions_along(normal_of(slices), slices)
    places = {
        id(piece): round(float(position), _POSITION_DIGITS) for piece, position in zip(slices, along, strict=True)
    }

    def same_slice(piece: SliceGeometry) -> Hashable | None:
        if piece.instance_number is None:
            return None
        return places[id(piece)], piece.instance_number, piece.frame, piece.attributes

    return _without_repeated(slices, same_slice, left_out)


def _without_few_across(
    groups: Sequence[list[SliceGeometry]], left_out: list[LeftOutSlice]
) -> list[list[SliceGeometry]]:
    most = max(map(len, groups), default=0)
    kept = [group for group in groups if len(group) > _FEW_ACROSS or _TIMES_AS_MANY * len(group) > most]
    few = [piece for group in groups if not any(group is each for each in kept) for piece in group]
    left_out += [LeftOutSlice(slice=piece, reason=LeftOutReason.OTHER_ORIENTATION) for piece in few]
    return kept


def _by_size(stack: SliceStack) -> tuple[int, int, int]:
    first = stack.slices[0]
    numbers = [piece.instance_number for piece in stack.slices if piece.instance_number is not None]
    return -len(stack), min(numbers, default=0), first.key


def _refusal(stacks: Sequence[SliceStack]) -> SeriesRefusal | None:
    refusals = [stack.refusal for stack in stacks]
    if not refusals:
        return SeriesRefusal.NO_GEOMETRY
    if SeriesRefusal.AMBIGUOUS_SERIES in refusals:
        return SeriesRefusal.AMBIGUOUS_SERIES
    return None if None in refusals else refusals[0]
