"""Compare the results of two networks on the same images: flips, agreement, scores, areas under ROC curves."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.comparison.agreement import (
    ROUNDS,
    Clusters,
    Estimate,
    affordable_rounds,
    correlation,
    estimate,
    kappa,
    mean_shift,
    rank_correlation,
)
from models.comparison.proportions import PairedCounts, difference_interval, mcnemar_p
from models.comparison.roc_areas import compare_areas
from models.comparison.values import (
    ANY_FINDING,
    RIGHT,
    STRATA,
    Discordance,
    Flip,
    LabelAreas,
    NetworkLabels,
    NightComparison,
    PairedResult,
    ScoreShift,
    StratumAgreement,
)

NO_LABEL = "no label"


def compare_results(
    first: NetworkLabels, second: NetworkLabels, results: Sequence[PairedResult], *, rounds: int = ROUNDS
) -> NightComparison:
    """Compare two networks on these images. Empty results give a comparison without figures."""
    clusters = Clusters.of([result.patient for result in results])
    rounds = affordable_rounds(len(results), rounds)
    networks = first, second
    same = [result.labels[0] == result.labels[1] for result in results]
    return NightComparison(
        first=first,
        second=second,
        images=len(results),
        patients=clusters.number if clusters.known else None,
        flips=tuple(_flips(networks, results)),
        discordance=tuple(_discordances(networks, results)),
        agreement=sum(same) / len(results) if results else None,
        kappa=_kappa(results, rounds),
        shifts=tuple(_shifts(networks, results, rounds)),
        strata=tuple(_strata(results, rounds)),
        with_truth=sum(bool(result.truth) for result in results),
        areas=tuple(_areas(networks, results)),
        rounds=rounds,
    )


def _flips(networks: tuple[NetworkLabels, NetworkLabels], results: Sequence[PairedResult]) -> list[Flip]:
    shared = _shared_labels(networks)
    flips = [_flip(networks, shared, result) for result in results if result.labels[0] != result.labels[1]]
    return sorted(flips, key=lambda flip: (-flip.change, flip.image_id))


def _flip(networks: tuple[NetworkLabels, NetworkLabels], shared: Sequence[str], result: PairedResult) -> Flip:
    changes = [abs(_score(networks[1], result, 1, label) - _score(networks[0], result, 0, label)) for label in shared]
    first, second = (_own_score(networks[which], result, which) for which in (0, 1))
    return Flip(
        image_id=result.image_id,
        first_label=result.labels[0],
        second_label=result.labels[1],
        first_score=first,
        second_score=second,
        change=max(changes, default=0.0),
        truth=_truth(result.truth),
        **{name: result.strata.get(name) for name in STRATA},
    )


def _truth(truth: Mapping[str, bool]) -> str | None:
    if not truth:
        return None
    return ", ".join(sorted(label for label, present in truth.items() if present)) or "none of the known labels"


def _discordances(
    networks: tuple[NetworkLabels, NetworkLabels], results: Sequence[PairedResult]
) -> Iterator[Discordance]:
    labels = np.array([[label or NO_LABEL for label in result.labels] for result in results]).reshape(-1, 2)
    normal = [network.normal_label for network in networks]
    if all(label is not None for label in normal):
        yield _discordance(ANY_FINDING, labels[:, 0] != normal[0], labels[:, 1] != normal[1])
    given = sorted(set(labels.ravel().tolist()) - {label for label in normal if label is not None})
    if len(given) > 1 or not all(label is not None for label in normal):
        for label in given:
            yield _discordance(label, labels[:, 0] == label, labels[:, 1] == label)
    judged = [[_is_right(networks[which], result, which) for which in (0, 1)] for result in results if result.truth]
    right = np.array([pair for pair in judged if None not in pair], bool)
    if len(right):
        yield _discordance(RIGHT, right[:, 0], right[:, 1])


def _discordance(question: str, first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Discordance:
    counts = PairedCounts.of(first, second)
    low, high = difference_interval(counts) or (None, None)
    return Discordance(
        question=question,
        counts=counts,
        difference=counts.difference,
        low=low,
        high=high,
        mcnemar_p=mcnemar_p(counts),
    )


def _is_right(network: NetworkLabels, result: PairedResult, which: int) -> bool | None:
    """Return whether the label that the network gave is true; None if the known ground truth does not decide it."""
    label, truth = result.labels[which], result.truth
    if label in truth or any(truth.values()):
        return truth.get(label or "", False)
    findings = [name for name in network.labels if name != network.normal_label]
    says_none = label in (None, network.normal_label)
    return True if says_none and all(name in truth for name in findings) else None


def _kappa(results: Sequence[PairedResult], rounds: int) -> Estimate:
    if not results:
        return Estimate(value=None)
    labels = np.array([[label or NO_LABEL for label in result.labels] for result in results])
    _, codes = np.unique(labels.ravel(), return_inverse=True)
    first, second = codes.reshape(-1, 2).T
    clusters = Clusters.of([result.patient for result in results])
    return estimate(lambda weights: kappa(first, second, weights), clusters, rounds=rounds)


def _shifts(
    networks: tuple[NetworkLabels, NetworkLabels], results: Sequence[PairedResult], rounds: int
) -> Iterator[ScoreShift]:
    suspicious = [result for result in results if None not in result.suspicion]
    if suspicious:
        pairs = np.array([result.suspicion for result in suspicious], dtype=np.float64)
        yield _shift("suspicion", suspicious, pairs, rounds)
    shared = _shared_labels(networks)
    two_of_one = bool(suspicious) and len(shared) == _MIRRORED
    for label in () if two_of_one else shared:
        scored = [result for result in results if all(result.scores)]
        if scored:
            pairs = np.array([[_score(networks[k], result, k, label) for k in (0, 1)] for result in scored])
            yield _shift(label, scored, pairs, rounds)


def _shift(label: str, results: Sequence[PairedResult], pairs: NDArray[np.float64], rounds: int) -> ScoreShift:
    clusters = Clusters.of([result.patient for result in results])
    first, second = pairs[:, 0], pairs[:, 1]

    def figured(figure: Any) -> Estimate:
        return estimate(lambda weights: figure(first, second, weights), clusters, rounds=rounds)

    return ScoreShift(
        label=label,
        images=len(results),
        pearson=figured(correlation),
        spearman=figured(rank_correlation),
        shift=figured(mean_shift),
        largest=float(np.abs(second - first).max()),
    )


def _strata(results: Sequence[PairedResult], rounds: int) -> Iterator[StratumAgreement]:
    for kind in STRATA:
        by_value: dict[str | None, list[PairedResult]] = {}
        for result in results:
            by_value.setdefault(result.strata.get(kind), []).append(result)
        for value, of_value in sorted(by_value.items(), key=lambda item: (-len(item[1]), item[0] or "")):
            flips = sum(result.labels[0] != result.labels[1] for result in of_value)
            yield StratumAgreement(
                kind=kind,
                value=value,
                images=len(of_value),
                flips=flips,
                agreement=1 - flips / len(of_value),
                kappa=_kappa(of_value, rounds),
            )


def _areas(networks: tuple[NetworkLabels, NetworkLabels], results: Sequence[PairedResult]) -> Iterator[LabelAreas]:
    normal = {network.normal_label for network in networks}
    for label in _shared_labels(networks):
        known = [result for result in results if label in result.truth and all(result.scores)]
        if not known or label in normal:
            continue
        scores = [np.array([_score(networks[k], result, k, label) for result in known]) for k in (0, 1)]
        truth = np.array([result.truth[label] for result in known])
        clusters = Clusters.of([result.patient for result in known])
        if areas := compare_areas(truth, scores[0], scores[1], clusters):
            yield LabelAreas(label=label, areas=areas)


def _shared_labels(networks: tuple[NetworkLabels, NetworkLabels]) -> list[str]:
    return [label for label in networks[0].labels if label in networks[1].labels]


def _score(network: NetworkLabels, result: PairedResult, which: int, label: str) -> float:
    position = network.labels.index(label)
    return result.scores[which][position] if position < len(result.scores[which]) else 0.0


def _own_score(network: NetworkLabels, result: PairedResult, which: int) -> float | None:
    label = result.labels[which]
    return _score(network, result, which, label) if label in network.labels else None


_MIRRORED = 2
"""The number of labels of a network with one finding: the finding and the normal label.

Both scores follow from the suspicion, so only the suspicions of such networks are compared.
"""
