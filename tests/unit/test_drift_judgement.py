"""Nights that stay the same raise no alarm, and changes are found by the second night: fewer nights, a fixed seed."""

from collections.abc import Iterator

import numpy as np
import pytest

from nightread.drift.judgement import FEWEST_STUDIES, FLOOR, DriftComparison, alarming, compare_night
from nightread.drift.levels import pack
from nightread.drift.measures import Counts, DriftMeasures, HeaderValues, ResultValues
from nightread.drift.reference import DriftReference, Stratum

MEASURES = DriftMeasures(labels=("normal", "nodule"), normal_label="normal")
SCANNERS = ("Alpha", "Beta", "Gamma")
IMAGES = 500
Codes = dict[str, np.ndarray]


def draw(
    rng: np.random.Generator,
    images: int = IMAGES,
    *,
    prevalence: float = 0.2,
    brightness: dict[str, int] | None = None,
    inverted: str = "",
    scanners: tuple[str, ...] = SCANNERS,
) -> tuple[list[Stratum], list[str | int | None], Codes]:
    """Draw studies of two images: scores and brightness of both resemble each other."""
    study = np.repeat(np.arange(images // 2), 2)
    scanner = rng.integers(0, len(scanners), images // 2)[study]
    positive = (rng.random(images // 2) < prevalence)[study]
    score = np.clip(np.where(positive, 0.8, 0.2) + 0.1 * rng.normal(size=images), 0, 1)
    level = (110 + 20 * rng.normal(size=images // 2))[study] + 6 * rng.normal(size=images)
    names = [scanners[place] for place in scanner]
    level += np.array([(brightness or {}).get(name, 0) for name in names])
    levels = np.clip(level[:, None] + [-80, -40, 0, 40, 80], 0, 255)
    levels[[name == inverted for name in names]] = 255 - levels[[name == inverted for name in names]][:, ::-1]
    results = ResultValues(
        labels=["nodule" if each > 0.5 else "normal" for each in score],
        scores=np.stack([1 - score, score], axis=1),
        intensities=pack(levels.astype(np.uint8)),
    )
    spacing = {"Alpha": 0.175, "Beta": 0.139, "Gamma": 0.168, "Delta": 0.1}
    headers = HeaderValues(
        sizes=[(2022, 2022)] * images,
        photometric=["MONOCHROME1" if name == "Alpha" else "MONOCHROME2" for name in names],
        spacings=[spacing[name] for name in names],
    )
    return [Stratum("DX", name, "PA") for name in names], study.tolist(), dict(MEASURES.codes(results, headers))


@pytest.fixture(scope="module")
def reference() -> DriftReference:
    """2,000 images of three scanners."""
    strata, studies, codes = draw(np.random.default_rng(1), 2000)
    return DriftReference.of_images(MEASURES, strata, studies, codes)


def night(seed: int, images: int = IMAGES, **changed: object) -> dict[Stratum, Counts]:
    strata, _, codes = draw(np.random.default_rng(seed), images, **changed)  # type: ignore[arg-type]
    found: dict[Stratum, Counts] = {}
    for stratum in dict.fromkeys(strata):
        own = [place for place, each in enumerate(strata) if each == stratum]
        found[stratum] = MEASURES.counts({name: codes[name][own] for name in codes})
    return found


def compared(reference: DriftReference, seeds: range, **changed: object) -> Iterator[list[DriftComparison]]:
    for seed in seeds:
        yield compare_night(reference, night(seed, **changed))  # type: ignore[arg-type]


@pytest.mark.slow
def test_stationary_nights_raise_no_alarm(reference: DriftReference) -> None:
    """Twenty nights; `python -m benchmarks.drift` simulates hundreds."""
    before: list[DriftComparison] = []
    for found in compared(reference, range(100, 120)):
        assert alarming(found, before) == []
        before = found


@pytest.mark.parametrize(
    ("changed", "measure"),
    [
        ({"prevalence": 0.4}, "label"),
        ({"brightness": {"Beta": 45}}, "intensity 50 %"),
        ({"inverted": "Alpha"}, "intensity 95 %"),
        ({"scanners": ("Alpha", "Beta", "Delta")}, "pixel spacing"),
    ],
    ids=["prevalence", "window", "inverted", "scanner"],
)
def test_a_change_is_found_by_the_second_night(
    reference: DriftReference, changed: dict[str, object], measure: str
) -> None:
    """Of 500 images each."""
    first, second = compared(reference, range(200, 202), **changed)
    assert measure in {each.measure for each in alarming(second, first)}


def test_one_night_beyond_the_limit_is_no_alarm_yet(reference: DriftReference) -> None:
    """The prevalence of 40 % is below twice the limit."""
    (found,) = compared(reference, range(200, 201), prevalence=0.4)
    assert any(each.exceeds for each in found)
    assert alarming(found, []) == [each for each in found if each.is_alarming_alone]


def test_a_mix_of_scanners_that_changes_is_no_drift(reference: DriftReference) -> None:
    """All images of a night of one scanner are compared with the reference of that scanner."""
    found = compare_night(reference, night(300, scanners=("Beta",)))
    assert {each.stratum for each in found} == {None}
    assert not any(each.exceeds for each in found)


def test_a_new_scanner_is_compared_with_all_of_the_reference(reference: DriftReference) -> None:
    """It is marked, and is no part of all images."""
    found = compare_night(reference, night(301, scanners=("Alpha", "Delta")))
    new = {each.stratum: each.images for each in found if each.is_new}
    assert list(new) == [Stratum("DX", "Delta", "PA")]
    (of_all,) = {each.images for each in found if each.stratum is None}
    assert of_all == IMAGES - sum(new.values())


def test_few_images_are_not_compared(reference: DriftReference) -> None:
    """Fewer than 50 say nothing."""
    assert compare_night(reference, night(302, images=40)) == []


def test_small_strata_have_wide_limits(reference: DriftReference) -> None:
    """The limit follows the number of images; the floor is 0.1."""
    limits = {}
    for images in (200, 2000):
        found = compare_night(reference, night(303, images=images))
        limits[images] = {each.measure: each.limit for each in found if each.stratum is None}
    assert limits[200]["score of nodule"] > 1.2 * limits[2000]["score of nodule"] >= FLOOR


def in_studies(images: int, studies: int) -> DriftReference:
    """Return a reference of the first scanner, whose images are of a few large studies."""
    strata, _, codes = draw(np.random.default_rng(2), images, scanners=("Alpha",))
    return DriftReference.of_images(MEASURES, strata, [place % studies for place in range(images)], codes)


@pytest.mark.parametrize(
    ("studies", "is_judged"), [(FEWEST_STUDIES - 1, False), (FEWEST_STUDIES, True)], ids=["too few", "enough"]
)
def test_a_reference_of_few_studies_raises_no_alarm(studies: int, is_judged: bool) -> None:
    """Whatever the difference: nights drawn from few studies are too much alike. The distances are shown."""
    found = compare_night(in_studies(600, studies), night(306, brightness={"Alpha": 60}, scanners=("Alpha",)))
    assert {each.is_judged for each in found} == {is_judged}
    assert max(each.distance for each in found) > 2 * FLOOR
    assert bool(alarming(found, found)) is is_judged


def test_a_large_stratum_of_few_studies_spoils_all_images() -> None:
    """A small one does not: its images weigh little."""
    strata, studies, codes = draw(np.random.default_rng(3), 1200, scanners=("Alpha", "Beta"))
    of_beta = [stratum.device_model == "Beta" for stratum in strata]
    few = [
        f"beta {place % 8}" if beta else study for place, (beta, study) in enumerate(zip(of_beta, studies, strict=True))
    ]
    found = DriftReference.of_images(MEASURES, strata, few, codes)
    alpha, beta = sorted(night(307, scanners=("Alpha", "Beta")).items())
    small = {name: numbers // 4 for name, numbers in beta[1].items()}
    for counts, is_judged in ((beta[1], False), (small, True)):
        compared_night = compare_night(found, {alpha[0]: alpha[1], beta[0]: counts})
        assert {each.is_judged for each in compared_night if each.stratum is None} == {is_judged}


def test_all_images_are_no_stratum_of_holm(reference: DriftReference) -> None:
    """Their p-values are those of one comparison; the smallest of three strata is multiplied by three."""
    found = [each for each in compare_night(reference, night(308, prevalence=0.6)) if each.measure == "label"]
    (of_all,) = [each for each in found if each.stratum is None]
    assert of_all.p_value == pytest.approx(1 / 1001)
    assert min(each.p_value for each in found if each.stratum) == pytest.approx(3 / 1001)


def test_the_same_night_is_judged_alike_each_time(reference: DriftReference) -> None:
    """The draws are the same."""
    assert compare_night(reference, night(304)) == compare_night(reference, night(304))


def test_a_comparison_survives_json(reference: DriftReference) -> None:
    """To four decimals."""
    for each in compare_night(reference, night(305)):
        again = DriftComparison.from_json(each.to_json())
        assert (again.key, again.exceeds, again.images) == (each.key, each.exceeds, each.images)
        assert again.distance == pytest.approx(each.distance, abs=1e-4)
