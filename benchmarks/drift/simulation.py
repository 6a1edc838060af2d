"""Draw a reference and nights at random from analysed studies, and count the alarms."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.films import INVERTED, NEW_SCANNER, OTHER_WINDOW, SCANNERS, Studies, make_studies
from nightread.drift.judgement import DriftComparison, alarming, compare_night
from nightread.drift.reference import DriftReference, Stratum

PREVALENCE = 0.2
Rng = np.random.Generator


@dataclass(frozen=True, kw_only=True)
class Populations:
    """The studies before and after a change."""

    usual: Studies
    changed: dict[str, Studies]

    @classmethod
    def make(cls, studies: int, *, seed: int) -> "Populations":
        """Make and analyse the studies of each population. Each change concerns one of three scanners."""
        others = {
            "MONOCHROME1 shown inverted (one of three scanners)": (INVERTED, *SCANNERS[1:]),
            "another window (one of three scanners)": (SCANNERS[0], OTHER_WINDOW, SCANNERS[2]),
            "a new scanner (instead of one of three)": (*SCANNERS[:2], NEW_SCANNER),
        }
        return cls(
            usual=make_studies(SCANNERS, studies, seed=seed),
            changed={name: make_studies(found, studies // 2, seed=seed + 1) for name, found in others.items()},
        )


def draw_reference(studies: Studies, images: int, rng: Rng, prevalence: float = PREVALENCE) -> DriftReference:
    """Draw whole studies with about `images` films, and make a reference of them."""
    films, blocks = _drawn(studies, images, rng, prevalence)
    return DriftReference.of_images(
        studies.measures,
        [studies.stratum(film) for film in films],
        blocks.tolist(),
        {name: codes[films] for name, codes in studies.codes.items()},
    )


def draw_night(
    reference: DriftReference, studies: Studies, images: int, rng: Rng, prevalence: float = PREVALENCE
) -> list[DriftComparison]:
    """Draw whole studies with about `images` films as a night, and compare it with the reference."""
    films, _ = _drawn(studies, images, rng, prevalence)
    strata = [studies.stratum(film).of_fields(reference.fields) for film in films]
    places: dict[Stratum, list[int]] = {}
    for film, stratum in zip(films.tolist(), strata, strict=True):
        places.setdefault(stratum, []).append(film)
    night = {
        stratum: studies.measures.counts({name: codes[own] for name, codes in studies.codes.items()})
        for stratum, own in places.items()
    }
    return compare_night(reference, night)


def false_alarms(nights: Sequence[Sequence[DriftComparison]]) -> int:
    """Return the number of nights with an alarm. An alarm also depends on the night before."""
    return sum(bool(alarming(night, before)) for before, night in zip(([], *nights[:-1]), nights, strict=True))


def found_by_night(first: Sequence[DriftComparison], second: Sequence[DriftComparison]) -> int | None:
    """Return the night, 1 or 2, after which the change raises an alarm, or None if neither night does."""
    if alarming(first, []):
        return 1
    return 2 if alarming(second, first) else None


def changes(populations: Populations, prevalence: float = PREVALENCE) -> dict[str, tuple[Studies, float]]:
    """Return, by name of the change, the studies after the change and their share with nodules."""
    found = {name: (studies, prevalence) for name, studies in populations.changed.items()}
    return found | {f"prevalence {prevalence:.0%} -> {2 * prevalence:.0%}": (populations.usual, 2 * prevalence)}


def _drawn(studies: Studies, images: int, rng: Rng, prevalence: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the drawn films and the number of each film's study. A study that is drawn twice counts as two studies."""
    count = round(images * len(studies.has_nodule) / len(studies.study))
    with_nodule = rng.binomial(count, prevalence)
    chosen = np.concatenate(
        [
            rng.choice(np.flatnonzero(studies.has_nodule), with_nodule),
            rng.choice(np.flatnonzero(~studies.has_nodule), count - with_nodule),
        ]
    )
    firsts = np.searchsorted(studies.study, chosen)
    lasts = np.searchsorted(studies.study, chosen, side="right")
    films = [np.arange(first, last) for first, last in zip(firsts, lasts, strict=True)]
    return np.concatenate(films), np.repeat(np.arange(count), lasts - firsts)


Report = Callable[[str], object]
