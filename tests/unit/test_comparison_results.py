"""Two networks on the same images: flips, questions, strata and ground truth, as counted by hand."""

import json
from typing import Any

import pytest

from models.comparison.compare import compare_results
from models.comparison.ground_truth import complete_truth
from models.comparison.page import comparison_page
from models.comparison.pictures import FlipPicture
from models.comparison.values import NetworkLabels, NightComparison, PairedResult

OLD = NetworkLabels("chest@1", "d" * 64, ("clear", "nodule"), "clear")
NEW = NetworkLabels("chest@2", "e" * 64, ("clear", "nodule"), "clear")


def result(image_id: int, first: float, second: float, **fields: Any) -> PairedResult:
    """Return the result of an image whose nodule has these scores, with the threshold 0.5."""
    pair = first, second
    values: dict[str, Any] = {
        "image_id": image_id,
        "patient": None,
        "strata": {"modality": "DX", "device": None, "view": "PA"},
        "labels": tuple("nodule" if score >= 0.5 else "clear" for score in pair),
        "scores": tuple((1 - score, score) for score in pair),
        "suspicion": pair,
        "truth": {},
    }
    return PairedResult(**values | fields)


RESULTS = (
    result(1, 0.9, 0.8),
    result(2, 0.6, 0.1, truth={"nodule": True}),
    result(3, 0.4, 0.55, strata={"modality": "CR", "device": "Acme", "view": "AP"}, truth={"nodule": True}),
    result(4, 0.1, 0.95, patient="p", truth={"nodule": False}),
    result(5, 0.2, 0.1, patient="p"),
)


def compared(results: tuple[PairedResult, ...] = RESULTS) -> NightComparison:
    """Compare both networks, with few rounds."""
    return compare_results(OLD, NEW, results, rounds=200)


def test_flips_come_with_the_largest_change_first() -> None:
    """Images 4 (0.85), 2 (0.5) and 3 (0.15) have different labels."""
    flips = compared().flips
    assert [(flip.image_id, flip.first_label, flip.second_label) for flip in flips] == [
        (4, "clear", "nodule"),
        (2, "nodule", "clear"),
        (3, "clear", "nodule"),
    ]
    assert [flip.change for flip in flips] == [pytest.approx(0.85), pytest.approx(0.5), pytest.approx(0.15)]
    assert (flips[0].first_score, flips[0].second_score) == (pytest.approx(0.9), pytest.approx(0.95))
    assert [flip.truth for flip in flips] == ["none of the known labels", "nodule", "nodule"]


def test_each_question_has_its_counts() -> None:
    """A finding: only the old network once, only the new one twice; right of three known ones: two and one."""
    finding, right = compared().discordance
    counts = finding.counts
    assert finding.question == "any finding"
    assert (counts.both, counts.only_first, counts.only_second, counts.neither) == (1, 1, 2, 1)
    assert finding.difference == pytest.approx(0.2)
    counts = right.counts
    assert right.question == "right label"
    assert (counts.both, counts.only_first, counts.only_second, counts.neither) == (0, 2, 1, 0)


def test_networks_with_several_findings_are_compared_by_label() -> None:
    """Each label that one of the networks gives is a question of its own."""
    labels = ("clear", "nodule", "effusion")
    old, new = OLD._replace(labels=labels), NEW._replace(labels=labels)
    scores = ((0.1, 0.2, 0.7), (0.1, 0.7, 0.2))
    results = [result(1, 0.9, 0.8), result(2, 0.0, 0.0, labels=("effusion", "nodule"), scores=scores)]
    found = compare_results(old, new, results, rounds=200)
    assert [one.question for one in found.discordance] == ["any finding", "effusion", "nodule"]
    assert found.flips[0].change == pytest.approx(0.5)


def test_strata_add_up() -> None:
    """Each image is in one stratum of each kind; unknown values are a stratum too."""
    found = compared()
    for kind in ("modality", "device", "view"):
        of_kind = [one for one in found.strata if one.kind == kind]
        assert sum(one.images for one in of_kind) == found.images
        assert sum(one.flips for one in of_kind) == len(found.flips)
    assert [(one.value, one.images, one.flips) for one in found.strata if one.kind == "device"] == [
        (None, 4, 2),
        ("Acme", 1, 1),
    ]


def test_patients_are_counted_if_one_is_known() -> None:
    """Images without a patient count as strangers."""
    assert compared().patients == 4
    assert compared(RESULTS[:2]).patients is None


def test_areas_need_truth_of_both_kinds() -> None:
    """Images 2 and 3 have a nodule and image 4 has none: old 1.0, new 0.0."""
    (one,) = compared().areas
    assert (one.label, one.areas.first, one.areas.second) == ("nodule", 1.0, 0.0)
    assert compared(RESULTS[:1]).areas == ()


def test_nothing_to_compare_is_no_error() -> None:
    """The figures are None."""
    found = compared(())
    assert (found.images, found.flips, found.agreement, found.kappa.value) == (0, (), None, None)
    assert "no image that both have analysed" in page(found)


def test_json_has_plain_values() -> None:
    """Programs read it with any JSON parser: no NaN, no tuple of Python."""
    found = json.loads(json.dumps(compared().to_json(), allow_nan=False))
    assert found["first"]["reference"] == "chest@1"
    assert found["discordance"][0]["counts"]["only_second"] == 2


@pytest.mark.parametrize(
    ("truth", "expected"),
    [
        ({"nodule": True}, {"clear": False, "nodule": True}),
        ({"clear": True}, {"clear": True, "nodule": False}),
        ({"nodule": False}, {"clear": True, "nodule": False}),
        ({"fracture": True}, {}),
        ({}, {}),
    ],
)
def test_what_follows_from_known_labels_is_known(truth: dict[str, bool], expected: dict[str, bool]) -> None:
    """A true label excludes those that are not mentioned; if all findings are denied, the normal label is true."""
    assert complete_truth(truth, ("clear", "nodule"), "clear") == expected


@pytest.mark.parametrize(
    ("truth", "counts"),
    [
        ({"effusion": False}, None),  # of nodule nothing is known, so neither label can be judged
        ({"effusion": False, "nodule": False}, (1, 0)),
        ({"effusion": True}, (0, 0)),
        ({"nodule": True}, (0, 1)),
    ],
)
def test_a_label_is_right_only_if_that_is_known(truth: dict[str, bool], counts: tuple[int, int] | None) -> None:
    """The old network finds nothing, the new one a nodule."""
    networks = [network._replace(labels=("effusion", "nodule"), normal_label="none") for network in (OLD, NEW)]
    scores = ((0.1, 0.2), (0.1, 0.8))
    pair = result(1, 0.2, 0.8, labels=("none", "nodule"), scores=scores, truth=truth)
    found = compare_results(networks[0], networks[1], [pair], rounds=200)
    right = [one.counts for one in found.discordance if one.question == "right label"]
    assert [(one.only_first, one.only_second) for one in right] == ([] if counts is None else [counts])


def page(found: NightComparison, **pictures: FlipPicture) -> str:
    """Render the page; pictures are named `image_ID`."""
    by_id = {int(name.removeprefix("image_")): picture for name, picture in pictures.items()}
    return comparison_page(
        found, chosen="night last", pictures=by_id, only_first=1, only_second=0, not_for_diagnosis=True
    )


def test_the_page_loads_nothing_and_shows_flips_with_pictures() -> None:
    """Everything is in the file; an image without a picture says why."""
    drawn = FlipPicture(plain="data:image/jpeg;base64,AAAA", heat=("data:image/jpeg;base64,BBBB", None))
    html = page(compared(), image_4=drawn, image_2=FlipPicture(why_none="The file is gone."))
    assert "http" not in html
    assert "<script" not in html
    assert html.index("image 4") < html.index("image 2")
    assert "The model is not on this host." in html
    assert "No picture: The file is gone." in html
    assert "Not for diagnosis." in html


def test_text_from_headers_is_no_markup() -> None:
    """The station name of a device is shown as it is."""
    hostile = result(1, 0.9, 0.1, strata={"modality": "DX", "device": "<b>x\x1b[31m", "view": None})
    html = page(compared((hostile,)))
    assert "<b>x" not in html
    assert "&lt;b&gt;x" in html
    assert "\x1b" not in html
