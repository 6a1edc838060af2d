"""Put the slices of a series in order, so that slices that need their neighbours can be read."""

from collections.abc import Iterator, Sequence
from typing import Any

from db.queries import AnalysedSlice, SeriesSlices
from db.tables import UNFINISHED, State
from imaging.series.arrange import arrange
from imaging.series.rules import EVERY_SERIES, SeriesRefusal
from imaging.series.series_order import LeftOutReason, SeriesOrder
from imaging.stored_geometry import stored_slices
from nightread.reasons import Reason
from worker.series.slices import SliceKey, is_bad

Stack = list[SliceKey]
_NOT_CURRENT = "superseded_or_withdrawn"


def waiting_images(slices: SeriesSlices) -> list[int]:
    """Return the ids of images that wait until their series is put in order."""
    return [row.image_id for row in (*slices.rows, *slices.not_current) if _waits(row)]


def order_to_store(slices: SeriesSlices) -> dict[str, Any]:
    """Return the order of all slices with known positions, in the form that db.queries.series_order reads.

    Each waiting slice has a place in the order, or a reason why it is left out. Otherwise it would wait for ever.
    """
    order = _order(slices)
    placed = {image_id for stack in order["stacks"] for image_id, _ in stack}
    lost = {row.image_id: LeftOutReason.NO_GEOMETRY.value for row in slices.rows if _waits(row)}
    lost |= {row.image_id: _NOT_CURRENT for row in slices.not_current if _waits(row)}
    without_place = {image_id: reason for image_id, reason in lost.items() if image_id not in placed}
    return {**order, "left_out": without_place | order["left_out"]}


def _order(slices: SeriesSlices) -> dict[str, Any]:
    rows = [row for row in slices.rows if row.ordinal == 0 and row.geometry is not None and _is_slice(row)]
    pieces = [piece for row in rows for piece in _pieces(row)]
    order = arrange(pieces, EVERY_SERIES)
    if order.refusal is SeriesRefusal.AMBIGUOUS_SERIES:
        return {"stacks": [], "left_out": {row.image_id: Reason.AMBIGUOUS_SERIES.value for row in rows}}
    stacks = [[(piece.key, piece.frame) for piece in stack.slices] for stack in order.stacks]
    variants = list(_variants(order, stacks))
    placed = {key for stack in (*stacks, *variants) for key in stack}
    left_out = {each.slice.key: each.reason.value for each in order.left_out}
    return {
        "stacks": [*variants, *stacks],  # if a slice is in several stacks, the last one counts
        "left_out": {key: reason for key, reason in left_out.items() if not any(key == image for image, _ in placed)},
    }


def _waits(row: AnalysedSlice) -> bool:
    return row.state == State.RECEIVED and row.reason == Reason.AWAITING_SERIES.value


def _is_slice(row: AnalysedSlice) -> bool:
    return row.state == State.DONE or row.state in UNFINISHED or is_bad(row)


def _pieces(row: AnalysedSlice) -> Iterator[Any]:
    yield from stored_slices(
        row.geometry or "[]",
        key=row.image_id,
        sop_instance_uid=row.sop_instance_uid,
        rows=row.rows,
        columns=row.columns,
    )


def _variants(order: SeriesOrder, stacks: Sequence[Stack]) -> Iterator[Stack]:
    """Yield a further stack for each slice that was left out because a stack has another version of it.

    The further stack has the left-out slice instead of that version. Both versions are current if their sources do
    not trust each other.
    """
    uids: dict[tuple[str | None, int], tuple[int, int]] = {
        (piece.sop_instance_uid, piece.frame): (number, place)
        for number, stack in enumerate(order.stacks)
        for place, piece in enumerate(stack.slices)
        if piece.sop_instance_uid is not None
    }
    for left_out in order.left_out:
        piece = left_out.slice
        twin = uids.get((piece.sop_instance_uid, piece.frame))
        if left_out.reason is LeftOutReason.DUPLICATE and twin is not None:
            number, place = twin
            yield [*stacks[number][:place], (piece.key, piece.frame), *stacks[number][place + 1 :]]
