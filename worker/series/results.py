"""Compute the results of one series for one bundle."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from db.ledger import SeriesResult, StackPlace
from db.queries import SeriesSlices
from imaging.facts import TEXT_LENGTH
from imaging.remarks import DETAIL_LENGTH
from imaging.series.arrange import arrange
from imaging.series.rules import SeriesRefusal
from imaging.series.series_order import SeriesOrder, SliceStack
from models.bundle import Bundle
from models.series.aggregates import Head, StackResult, stack_result
from models.series.remarks import (
    Said,
    SeriesRemark,
    left_out_remarks,
    numbered,
    stack_remarks,
    words_and_detail,
)
from models.series.spec import NEIGHBOURS, WHOLE, SeriesSpec
from nightread.reasons import Reason
from worker.series.slices import CountedSlices, SliceKey, counted_slices

_DIGITS = 4
_REFUSALS = {
    SeriesRefusal.NO_GEOMETRY: "No image of the series has a usable position and orientation.",
    SeriesRefusal.TOO_FEW_SLICES: "The stack has fewer slices than the bundle requires.",
    SeriesRefusal.SLICE_SPACING: "The distance of the slices is outside of the range of the bundle.",
    SeriesRefusal.SLICE_ORIENTATION: "The slices have another orientation than the bundle requires.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Completion:
    """What is known about images that have not arrived yet."""

    is_early: bool = False
    """Whether the series is formed before it is quiet or complete."""
    missing: str | None = None
    """A sentence about missing images of the study; None if all arrived, or the expected number is not known."""


def series_results(
    slices: SeriesSlices, bundle_id: int, bundle: Bundle, completion: Completion, head: Head | None = None
) -> Iterator[SeriesResult]:
    """Yield one result per stack; a stack without any score has no result.

    If stacks cannot be separated, or no slice has a position, yield a single result for the whole series. Raises
    ValueError for a bundle whose unit is not the series.
    """
    if bundle.series is None:
        raise ValueError(f"{bundle.reference} has no table `series`")
    counted = counted_slices(slices, bundle_id, bundle.postprocessing)
    order = arrange(counted.geometries, bundle.series.rules)
    former = _Former(bundle_id=bundle_id, bundle=bundle, spec=bundle.series, counted=counted, order=order, head=head)
    for result in former.results():
        remarks, detail = former.said(result, completion)
        yield replace(result, partial=_is_partial(counted, completion), remarks=remarks, detail=detail)


def _is_partial(counted: CountedSlices, completion: Completion) -> bool:
    return completion.is_early or completion.missing is not None or bool(counted.unfinished)


@dataclass(frozen=True, kw_only=True)
class _Former:
    bundle_id: int
    bundle: Bundle
    spec: SeriesSpec
    counted: CountedSlices
    order: SeriesOrder
    head: Head | None

    def results(self) -> Iterator[SeriesResult]:
        refusal = self.order.refusal
        if refusal in (SeriesRefusal.AMBIGUOUS_SERIES, SeriesRefusal.NO_GEOMETRY):
            yield self._without_result(0, _reason(refusal), detail=_REFUSALS.get(refusal))
            return
        for number, stack in enumerate(self.order.stacks, start=1):
            if stack.refusal is not None:
                yield self._without_result(number, _reason(stack.refusal), stack, _REFUSALS.get(stack.refusal))
            elif self._has_scores(stack):
                yield self._of_stack(number, stack)

    def said(self, result: SeriesResult, completion: Completion) -> tuple[str | None, str | None]:
        """Return the words of the remarks, and the detail: the sentences of the reason and of the remarks."""
        remarks, sentences = words_and_detail(self._remarks(result, completion), longest=DETAIL_LENGTH)
        detail = f"{result.detail} {sentences or ''}".strip()[:DETAIL_LENGTH] if result.detail else sentences
        return remarks, detail

    def _remarks(self, result: SeriesResult, completion: Completion) -> Iterator[Said]:
        counted = self.counted
        yield from numbered(SeriesRemark.BAD_SLICES, len(counted.bad))
        yield from numbered(SeriesRemark.UNFINISHED_SLICES, len(counted.unfinished))
        if completion.missing is not None:
            yield SeriesRemark.IMAGES_MISSING, completion.missing
        yield from numbered(SeriesRemark.IN_CONFLICT, counted.in_conflict)
        if counted.sources > 1:
            yield SeriesRemark.SEVERAL_SOURCES, f"The slices came from {counted.sources} sources."
        if result.stack:
            yield from stack_remarks(self.order.stacks[result.stack - 1])
        yield from left_out_remarks(self.order)

    def _has_scores(self, stack: SliceStack) -> bool:
        return any((piece.key, piece.frame) in self.counted.scores for piece in stack.slices)

    def _of_stack(self, number: int, stack: SliceStack) -> SeriesResult:
        keys = [(piece.key, piece.frame) for piece in stack.slices]
        used = self._used(keys)
        if not used or (self.spec.bad_slice == WHOLE and self.counted.bad):
            return self._without_result(number, Reason.BAD_SLICE, stack, Reason.BAD_SLICE.message)
        scores = np.array([self.counted.scores[keys[place]] for place in used], np.float32)
        found = stack_result(self.spec, self.bundle.postprocessing, scores, _breaks(used, stack), self.head)
        label, score, all_scores = found.result
        return replace(
            self._empty(number, stack),
            label=label,
            score=score,
            suspicion=found.suspicion,
            scores=all_scores,
            slices=len(used),
            places=_places(keys, used, found),
            evidence=[used[index] + 1 for index in found.evidence],
        )

    def _used(self, keys: Sequence[SliceKey]) -> list[int]:
        """Return the positions, in the stack, of the slices whose scores count.

        The bundle decides whether neighbours of bad slices count.
        """
        scored = [place for place, key in enumerate(keys) if key in self.counted.scores]
        if self.spec.bad_slice != NEIGHBOURS:
            return scored
        bad = {place for place, (image_id, _) in enumerate(keys) if image_id in self.counted.bad}
        return [place for place in scored if not bad & {place - 1, place + 1}]

    def _without_result(
        self, number: int, reason: Reason, stack: SliceStack | None = None, detail: str | None = None
    ) -> SeriesResult:
        return replace(self._empty(number, stack), reason=reason, detail=detail or reason.message)

    def _empty(self, number: int, stack: SliceStack | None) -> SeriesResult:
        """Return a result without a label.

        Bad or unfinished slices that are in no stack are counted in `of_slices` of the largest stack.
        """
        placed = {(piece.key, piece.frame) for each in self.order.stacks for piece in each.slices}
        nowhere = (self.counted.bad | self.counted.unfinished) - {key for key, _ in placed}
        of_stack = len(stack.slices) if stack is not None else len(placed)
        return SeriesResult(
            bundle_id=self.bundle_id,
            stack=number,
            stack_name=_stack_name(stack) if stack is not None else None,
            of_slices=of_stack + (len(nowhere) if number <= 1 else 0),
            shadow=self.counted.shadow,
        )


def _reason(refusal: SeriesRefusal) -> Reason:
    return Reason.AMBIGUOUS_SERIES if refusal is SeriesRefusal.AMBIGUOUS_SERIES else Reason.SERIES_RULES


def _stack_name(stack: SliceStack) -> str | None:
    told = {name: value for name, value in stack.told_apart_by._asdict().items() if value is not None}
    return ", ".join(f"{name} {value}" for name, value in told.items())[:TEXT_LENGTH] or None


def _breaks(used: Sequence[int], stack: SliceStack) -> list[int]:
    """Return the indices in `used` after which a slice is missing or has no score."""
    gaps = {gap.after for gap in stack.gaps}
    return [index for index, (place, following) in enumerate(pairwise(used)) if following > place + 1 or place in gaps]


def _places(keys: Sequence[SliceKey], used: Sequence[int], found: StackResult) -> list[StackPlace]:
    scores = dict(zip(used, found.by_slice, strict=True))
    return [
        StackPlace(image_id, frame, round(scores[place], _DIGITS) if place in scores else None)
        for place, (image_id, frame) in enumerate(keys)
    ]
