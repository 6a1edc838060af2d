"""Values of images are sorted into bins, and a reference keeps them without any identity."""

import json

import numpy as np
import pytest

from imaging.spec import InputSpec, Intensity
from models.drift_values import levels_of
from nightread.drift.levels import pack, unpack
from nightread.drift.measures import DriftMeasures, HeaderValues, ResultValues
from nightread.drift.reference import MOST_PER_STRATUM, DriftReference, Stratum
from worker.inference.input_levels import InputLevels

MEASURES = DriftMeasures(labels=("normal", "nodule"), normal_label="normal")


def codes_of(images: int = 1, **changed: object) -> dict[str, np.ndarray]:
    values = {
        "labels": ["nodule"] * images,
        "scores": np.tile([[0.3, 0.7]], (images, 1)),
        "intensities": pack(np.full((images, 5), 128, np.uint8)),
    }
    headers = {
        "sizes": [(512, 512)] * images,
        "photometric": ["MONOCHROME2"] * images,
        "spacings": [0.5] * images,
    }
    results = ResultValues(**{name: changed.get(name, value) for name, value in values.items()})  # type: ignore[arg-type]
    header = HeaderValues(**{name: changed.get(name, value) for name, value in headers.items()})  # type: ignore[arg-type]
    return dict(MEASURES.codes(results, header))


def bin_of(measure: str, **changed: object) -> str:
    return MEASURES.bins[measure][int(codes_of(**changed)[measure][0])]


def test_levels_survive_packing() -> None:
    """Five bytes in one number; None says that nothing was measured."""
    levels = np.array([[0, 1, 2, 254, 255], [7, 7, 7, 7, 7]], np.uint8)
    found, is_measured = unpack([*pack(levels), None])
    assert found[:2].tolist() == levels.tolist()
    assert is_measured.tolist() == [True, True, False]
    assert max(pack(levels)) < 2**40


def test_black_is_0_and_white_is_255_whatever_the_scaling() -> None:
    """Of an input from -1 to 1 that was then standardised."""
    spec = InputSpec(
        height=4, width=4, channels=1, intensity=Intensity(kind="full"), scale_low=-1.0, mean=(0.5,), std=(0.25,)
    )
    inputs = np.full((1, 4, 4, 1), (-1 - 0.5) / 0.25, np.float32)
    inputs[0, 2:] = (1 - 0.5) / 0.25
    assert levels_of(inputs, spec)[0, [0, 4]].tolist() == [0, 255]


def test_an_image_has_the_mean_of_its_frames() -> None:
    """Frames of one image may come in several chunks; images of one frame are as they are."""
    levels = InputLevels()
    levels.add([(1, 1), (2, 1)], np.array([[10] * 5, [20] * 5], np.uint8))
    levels.add([(2, 2)], np.array([[30] * 5, [40] * 5], np.uint8))
    found, _ = unpack([levels.by_image()[number] for number in (1, 2)])
    assert found[:, 0].tolist() == [10, 30]
    assert InputLevels().by_image() == {}


def test_chunks_of_one_frame_are_frames_of_one_image() -> None:
    """As many chunks as frames does not mean as many images."""
    levels = InputLevels()
    for level in (10, 20):
        levels.add([(7, 1)], np.array([[level] * 5], np.uint8))
    assert unpack(list(levels.by_image().values()))[0].tolist() == [[15] * 5]


@pytest.mark.parametrize(
    ("measure", "changed", "expected"),
    [
        ("label", {}, "nodule"),
        ("label", {"labels": [None]}, "none"),
        ("score of nodule", {}, "0.7"),
        ("score of nodule", {"scores": np.array([[0.0, 1.0]])}, "0.95"),
        ("intensity 50 %", {}, "50%"),
        ("intensity 50 %", {"intensities": [None]}, "none"),
        ("size", {}, "512"),
        ("size", {"sizes": [(None, 512)]}, "none"),
        ("size", {"sizes": [(60_000, 60_000)]}, "16384"),
        ("photometric", {"photometric": ["YBR_ICT"]}, "YBR_ICT"),
        ("photometric", {"photometric": ["made up"]}, "other"),
        ("photometric", {"photometric": [None]}, "none"),
        ("pixel spacing", {}, "0.5"),
        ("pixel spacing", {"spacings": [None]}, "none"),
    ],
    ids=str,
)
def test_each_value_has_its_bin(measure: str, changed: dict[str, object], expected: str) -> None:
    """Also what is missing, unknown, or beyond the last bin."""
    assert bin_of(measure, **changed) == expected


def test_a_network_with_many_labels_has_one_histogram_of_scores() -> None:
    """Of the highest score."""
    many = DriftMeasures(labels=tuple(map(str, range(300))), normal_label=None)
    assert [name for name in many.bins if "score" in name] == ["highest score"]
    assert max(len(bins) for bins in many.bins.values()) <= 256


def reference(studies: list[str | int | None], strata: list[Stratum] | None = None) -> DriftReference:
    images = len(studies)
    return DriftReference.of_images(MEASURES, strata or [Stratum("CT")] * images, studies, codes_of(images))


def test_a_reference_survives_json_and_holds_no_uid() -> None:
    """Studies become numbers in a random order."""
    before = reference(["1.2.3", "1.2.4", "1.2.3", None])
    text = json.dumps(before.to_json())
    after = DriftReference.from_json(json.loads(text))
    assert "1.2" not in text
    assert after.to_json() == before.to_json()
    assert after.block[0] == after.block[2]
    assert len(set(after.block.tolist())) == 3


def test_of_a_large_stratum_whole_studies_are_kept() -> None:
    """At most 2,000 images; small strata are kept whole."""
    studies: list[str | int | None] = [number // 3 for number in range(3 * MOST_PER_STRATUM)]
    found = reference([*studies, "a", "a"], [Stratum("CT")] * len(studies) + [Stratum("MR")] * 2)
    kept = found.block[found.of_stratum(Stratum("CT"))]
    assert MOST_PER_STRATUM - 3 < len(kept) <= MOST_PER_STRATUM
    assert set(np.unique(kept, return_counts=True)[1].tolist()) == {3}
    assert len(found.of_stratum(Stratum("MR"))) == 2


def test_fields_that_no_image_has_are_not_compared() -> None:
    """The validation part has no source."""
    assert reference([1], [Stratum("CT", "Alpha")]).fields == ("modality", "device_model")
    assert Stratum("CT", "Alpha", "", "inbox").of_fields(("modality",)) == Stratum("CT")


@pytest.mark.parametrize("broken", ["stratum", "block", "codes", "format"])
def test_a_broken_reference_is_refused(broken: str) -> None:
    """Lists of different lengths, unknown bins, another format."""
    values = reference([1, 2]).to_json()
    values[broken] = {"stratum": [0, 7], "block": [1], "codes": {**values["codes"], "label": "ffff"}, "format": 9}[
        broken
    ]
    with pytest.raises((ValueError, KeyError)):
        DriftReference.from_json(values)
