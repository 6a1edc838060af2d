"""Turn the scores of the slices of one stack into scores of the stack. Pure numpy."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.postprocessing import SIGMOID, ImageResult, Postprocessing
from models.series.spec import HEAD, MAX, MEAN, RUN, SHARE, SeriesSpec

Scores = NDArray[np.float32]
Head = Callable[[Scores], Scores]
"""A sequence head takes the scores of slices in order, (slices, labels), and returns scores of the stack, (labels,)."""
_MOST_EVIDENCE = 20


class StackResult(NamedTuple):
    """The result of one stack."""

    result: ImageResult
    suspicion: float | None
    """1 minus the score of the normal label; None without a normal label."""
    evidence: tuple[int, ...]
    """Indices of the slices that speak for the label, the strongest first; at least one."""
    by_slice: list[float]
    """One value per slice: its score of the label; if the label is not a finding, the suspicion of the slice."""


def stack_result(
    spec: SeriesSpec,
    postprocessing: Postprocessing,
    scores: Scores,
    gaps: Sequence[int] = (),
    head: Head | None = None,
) -> StackResult:
    """Return the result from the scores of the slices, (slices, labels), in order; there must be at least one.

    `gaps` are the indices of slices after which slices are missing or have no score. A run of slices ends there. Raises
    ValueError if the aggregate is `head` but `head` is None.
    """
    of_series = replace(postprocessing, thresholds={**postprocessing.thresholds, **spec.thresholds})
    aggregated = _by_head(scores, head) if spec.aggregate == HEAD else _aggregated(spec, postprocessing, scores, gaps)
    result = of_series.result_of(aggregated)
    suspicion = of_series.suspicion(aggregated)
    ranking = _ranking(postprocessing, scores, result.label)
    return StackResult(
        result=result,
        suspicion=None if suspicion is None else float(suspicion),
        evidence=_evidence(spec, ranking, gaps),
        by_slice=ranking.tolist(),
    )


def longest_run(above: NDArray[np.bool_], gaps: Sequence[int] = ()) -> tuple[int, int]:
    """Return begin and end (excluded) of the longest run of True; of equal runs, the first. (0, 0) means no run."""
    best, begin = (0, 0), 0
    breaks = frozenset(gaps)
    for index, is_above in enumerate(above.tolist()):
        if not is_above:
            begin = index + 1
        elif index + 1 - begin > best[1] - best[0]:
            best = (begin, index + 1)
        if index in breaks:
            begin = index + 1
    return best


def _by_head(scores: Scores, head: Head | None) -> Scores:
    if head is None:
        raise ValueError("the aggregate is a sequence head, which is not loaded")
    return head(scores)


def _aggregated(spec: SeriesSpec, postprocessing: Postprocessing, scores: Scores, gaps: Sequence[int]) -> Scores:
    """Return one score per label."""
    if spec.aggregate == MEAN:
        return np.asarray(scores.mean(axis=0), np.float32)
    if spec.counts_slices:
        return _counted(spec, postprocessing, scores, gaps)
    count = 1 if spec.aggregate == MAX else min(spec.count, len(scores))
    if postprocessing.activation == SIGMOID:
        return np.asarray(np.sort(scores, axis=0)[-count:].mean(axis=0), np.float32)
    # The scores of one slice exclude each other, so whole slices are chosen, as for the frames of an image.
    strongest = np.argsort(-_ranking(postprocessing, scores), kind="stable")[:count]
    return np.asarray(scores[strongest].mean(axis=0), np.float32)


def _counted(spec: SeriesSpec, postprocessing: Postprocessing, scores: Scores, gaps: Sequence[int]) -> Scores:
    above = scores >= np.float32(spec.above)
    if spec.aggregate == SHARE:
        counted = above.mean(axis=0)
    else:
        runs = [longest_run(above[:, label], gaps) for label in range(scores.shape[1])]
        counted = np.minimum(np.array([end - begin for begin, end in runs]) / spec.count, 1)
    if postprocessing.normal_label in postprocessing.labels:
        normal = postprocessing.labels.index(postprocessing.normal_label)
        counted[normal] = 1 - np.delete(counted, normal).max(initial=0)
    return np.asarray(counted, np.float32)


def _ranking(postprocessing: Postprocessing, scores: Scores, label: str | None = None) -> Scores:
    """Return one value per slice: its score of the label; if the label is not a finding, the suspicion of the slice."""
    if label is not None and label != postprocessing.normal_label:
        return np.asarray(scores[:, postprocessing.labels.index(label)])
    suspicion = postprocessing.suspicion(scores)
    return np.asarray(scores.max(axis=1)) if suspicion is None else suspicion


def _evidence(spec: SeriesSpec, ranking: Scores, gaps: Sequence[int]) -> tuple[int, ...]:
    speaking = ranking >= np.float32(spec.above)
    if spec.aggregate == RUN:
        begin, end = longest_run(speaking, gaps)
        speaking[:begin], speaking[end:] = False, False
    strongest = np.argsort(-ranking, kind="stable")
    chosen = [int(index) for index in strongest if speaking[index]] or [int(strongest[0])]
    return tuple(chosen[:_MOST_EVIDENCE])
