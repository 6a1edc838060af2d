"""Compare a night with a reference, and decide which differences are an alarm."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from nightread.drift.distance import holm, js_distances
from nightread.drift.measures import Counts
from nightread.drift.reference import DriftReference, Stratum
from nightread.drift.resampling import Redrawn, redraw

FLOOR = 0.1
"""The lowest limit of a distance: smaller distances do not matter, even if they are significant."""
LEVEL = 0.995
"""The limit of a distance is this quantile of the distances of redrawn nights."""
FEWEST_IMAGES = 50
"""Smallest number of images with which a stratum of the night is compared on its own. If the reference has fewer images
of a stratum, the stratum is new."""
FEWEST_FOR_ONE_NIGHT = 200
FEWEST_STUDIES = 30
"""Smallest number of studies in a reference for which a difference is judged. With fewer, redrawn nights differ too
little from each other, and the limit is too low (docs/drift.md)."""
MOST_STRATA = 24
"""At most this many strata have comparisons of their own: those with the most images in the night."""
_FEWEST_DRAWS = 1000
_DRAWS_PER_STRATUM = 200
"""Number of draws per compared stratum. With fewer, no p-value is small enough for an alarm: it must be below
(1 - LEVEL) divided by the number of strata (Holm's correction), and it is at least 1 / (draws + 1)."""
_SEED = 2026

Night = Mapping[Stratum, Counts]
"""Numbers of images of a night by stratum, measure and bin."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DriftComparison:
    """How one measure of one stratum differs from the reference."""

    stratum: Stratum | None
    """None for all images whose strata the reference knows. The strata of the reference are then weighted by their
    shares of the images of the night."""
    is_new: bool = False
    """Whether the reference has too few images of this stratum, so that it is compared with the whole reference."""
    measure: str
    images: int
    distance: float
    limit: float
    p_value: float
    """The share of nights redrawn from the reference whose distance from a redrawn reference is at least the distance
    of this night; this night counts as one of them. For a stratum, the p-value is adjusted (Holm) for the number of
    strata."""
    is_judged: bool = True
    """False if the reference has too few studies of these images to judge a difference."""

    @property
    def exceeds(self) -> bool:
        """Return whether the distance is beyond its limit."""
        return self.is_judged and self.distance > self.limit and self.p_value <= 1 - LEVEL

    @property
    def is_alarming_alone(self) -> bool:
        """Return whether this difference is an alarm even if it occurs in only one night."""
        return self.exceeds and self.distance >= 2 * self.limit and self.images >= FEWEST_FOR_ONE_NIGHT

    @property
    def key(self) -> tuple[Stratum | None, str]:
        """Return what is compared: the stratum and the measure."""
        return self.stratum, self.measure

    @property
    def group(self) -> str:
        """Return the stratum as text for people."""
        return "all images" if self.stratum is None else str(self.stratum)

    def to_json(self) -> dict[str, Any]:
        """Return values that JSON can hold."""
        return {
            "stratum": None if self.stratum is None else list(self.stratum),
            "is_new": self.is_new,
            "measure": self.measure,
            "images": self.images,
            "distance": round(self.distance, 4),
            "limit": round(self.limit, 4),
            "p_value": round(self.p_value, 5),
            "is_judged": self.is_judged,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_json` returned."""
        stratum = values["stratum"]
        return cls(**{**values, "stratum": None if stratum is None else Stratum(*stratum)})


def compare_night(reference: DriftReference, night: Night) -> list[DriftComparison]:
    """Return the comparison of each measure of each stratum, and of all images together.

    The strata of `night` must have the fields of the reference (Stratum.of_fields). The same arguments always give the
    same result, although nights are drawn at random.
    """
    known = known_strata(reference, night)
    ranked = sorted((each for each in night if _images(night[each]) >= FEWEST_IMAGES), key=partial(_rank, night))
    own = ranked[:MOST_STRATA] if len(night) > 1 or not known else []
    times = max(_FEWEST_DRAWS, _DRAWS_PER_STRATUM * (len(own) + 1))
    rng = np.random.default_rng(_SEED)
    redrawn = {each: redraw(reference, each, _images(night[each]), times, rng) for each in sorted(known)}
    found: list[DriftComparison] = []
    for stratum in own:
        is_new = stratum not in known
        drawn = redraw(reference, None, _images(night[stratum]), times, rng) if is_new else redrawn[stratum]
        found += _compared(
            stratum,
            night[stratum],
            expected_counts(reference, night, stratum),
            drawn,
            is_new=is_new,
            is_judged=reference.studies(None if is_new else stratum) >= FEWEST_STUDIES,
        )
    if sum(_images(night[each]) for each in known) >= FEWEST_IMAGES:
        found += _of_all(reference, night, redrawn)
    return list(_adjusted(found))


def known_strata(reference: DriftReference, night: Night) -> set[Stratum]:
    """Return the strata of the night that have enough images in the reference."""
    return {each for each in night if len(reference.of_stratum(each)) >= FEWEST_IMAGES}


def night_counts_of(reference: DriftReference, night: Night, stratum: Stratum | None) -> Counts:
    """Return the numbers of images of the night by bin.

    They are those of one stratum; for None, those of all strata that the reference knows.
    """
    if stratum is not None:
        return night[stratum]
    known = sorted(known_strata(reference, night))
    return {name: _sum(night[each][name] for each in known) for name in reference.measures.bins}


def expected_counts(reference: DriftReference, night: Night, stratum: Stratum | None) -> Mapping[str, NDArray[Any]]:
    """Return the numbers of images by bin in the reference, with which a stratum of the night is compared.

    They are those of the same stratum; for a new stratum, those of the whole reference. For None, they are those of all
    strata that the reference knows, weighted by the shares of the strata in this night: a mix of strata that changes
    from night to night is not drift.
    """
    if stratum is not None:
        return reference.counts(stratum if stratum in known_strata(reference, night) else None)
    own = {each: reference.counts(each) for each in sorted(known_strata(reference, night))}
    return {
        name: _sum(_weighted(counts[name], _images(night[each])) for each, counts in own.items())
        for name in reference.measures.bins
    }


def alarming(latest: Sequence[DriftComparison], before: Sequence[DriftComparison]) -> list[DriftComparison]:
    """Return the differences that are an alarm, the largest first.

    A difference is an alarm if it exceeds its limit in the latest night and in the night before. The latest night is
    enough if the difference reaches twice the limit and the night has at least FEWEST_FOR_ONE_NIGHT of these images.
    """
    exceeded = {each.key for each in before if each.exceeds}
    found = [each for each in latest if each.is_alarming_alone or (each.exceeds and each.key in exceeded)]
    return sorted(found, key=lambda each: each.limit / each.distance)


def _images(counts: Counts) -> int:
    return int(next(iter(counts.values())).sum())


def _rank(night: Night, stratum: Stratum) -> tuple[int, Stratum]:
    return -_images(night[stratum]), stratum


def _of_all(reference: DriftReference, night: Night, redrawn: Mapping[Stratum, Redrawn]) -> Iterator[DriftComparison]:
    names = reference.measures.bins
    together = Redrawn(
        nights={name: _sum(drawn.nights[name] for drawn in redrawn.values()) for name in names},
        references={
            name: _sum(_weighted(drawn.references[name], _images(night[each])) for each, drawn in redrawn.items())
            for name in names
        },
    )
    counts, expected = night_counts_of(reference, night, None), expected_counts(reference, night, None)
    return _compared(None, counts, expected, together, is_judged=_mean_studies(reference, night) >= FEWEST_STUDIES)


def _mean_studies(reference: DriftReference, night: Night) -> int:
    """Return the harmonic mean of the numbers of studies of the strata, weighted by their numbers of images."""
    images = {each: _images(night[each]) for each in known_strata(reference, night)}
    return round(sum(images.values()) / sum(number / reference.studies(each) for each, number in images.items()))


def _sum(arrays: Iterator[NDArray[Any]]) -> NDArray[Any]:
    return np.asarray(np.sum(list(arrays), axis=0))


def _weighted(counts: NDArray[Any], weight: int) -> NDArray[np.float64]:
    return np.asarray(weight * counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1))


def _compared(
    stratum: Stratum | None,
    counts: Counts,
    expected: Mapping[str, NDArray[Any]],
    drawn: Redrawn,
    *,
    is_new: bool = False,
    is_judged: bool,
) -> Iterator[DriftComparison]:
    for name, found in counts.items():
        distance = float(js_distances(found, expected[name]))
        usual = js_distances(drawn.nights[name], drawn.references[name])
        yield DriftComparison(
            stratum=stratum,
            is_new=is_new,
            measure=name,
            images=int(found.sum()),
            distance=distance,
            limit=max(FLOOR, float(np.quantile(usual, LEVEL))),
            p_value=(1 + int((usual >= distance).sum())) / (len(usual) + 1),
            is_judged=is_judged,
        )


def _adjusted(found: Sequence[DriftComparison]) -> Iterator[DriftComparison]:
    """Yield the comparisons. P-values of strata are adjusted for the number of strata with the same measure."""
    yield from (each for each in found if each.stratum is None)
    of_strata = [each for each in found if each.stratum is not None]
    for measure in dict.fromkeys(each.measure for each in of_strata):
        of_measure = [each for each in of_strata if each.measure == measure]
        adjusted = holm([each.p_value for each in of_measure])
        for each, p_value in zip(of_measure, adjusted, strict=True):
            yield replace(each, p_value=p_value)
