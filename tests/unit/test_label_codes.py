"""Codes of standard terminologies for labels: read from a card, stored with the bundle, used in reports."""

import json
from pathlib import Path
from typing import Any

import pytest

from db.queries import ReportedBundle
from delivery.codes import label_code, label_concept, probability_of
from models.bundle import CARD_FILE, load_bundle
from models.catalogue import find_bundle
from models.importing.card import bundle_from_card
from models.importing.errors import RefusedModel
from nightread.errors import StopWork
from nightread.label_codes import LabelCode, label_codes_from_json, label_codes_to_json

NODULE = {"scheme": "SCT", "value": "27925004", "meaning": "Nodule"}
RADLEX = {"scheme": "RADLEX", "value": "RID3875", "meaning": "nodule"}
CODES = {"nodule": [NODULE, RADLEX]}
CARD = {
    "name": "toy",
    "version": "1.0",
    "labels": ["clear", "nodule"],
    "activation": "softmax",
    "input": {"height": 8, "width": 8, "channels": 1, "intensity": {"kind": "full"}},
    "intended_use": "tests",
}


def bundle(**codes: tuple[LabelCode, ...]) -> ReportedBundle:
    """Return a bundle of which a report names labels."""
    return ReportedBundle(
        name="toy", version="1.0", digest="d" * 64, normal_label="clear", codes=tuple(sorted(codes.items()))
    )


def test_codes_are_written_as_they_were_read() -> None:
    """The order of the codes stays: the first one is preferred."""
    assert label_codes_to_json(label_codes_from_json(CODES, ["clear", "nodule"])) == CODES
    assert bundle_from_card(CARD | {"codes": CODES}).codes["nodule"][1] == LabelCode(**RADLEX)


@pytest.mark.parametrize(
    ("codes", "problem"),
    [
        ({"mass": [NODULE]}, "unknown labels: mass"),
        ({"nodule": NODULE}, "a list of at least one code"),
        ({"nodule": []}, "a list of at least one code"),
        ({"nodule": [NODULE | {"version": "1"}]}, "the texts scheme, value and meaning"),
        ({"nodule": [NODULE | {"value": 27925004}]}, "the texts scheme, value and meaning"),
        ({"nodule": [NODULE | {"scheme": "A" * 17}]}, "the scheme of a code must have 1 to 16"),
        ({"nodule": [NODULE | {"value": ""}]}, "the value of a code"),
        ({"nodule": [NODULE | {"meaning": "a\\b"}]}, "the meaning of a code"),
        ({"nodule": [NODULE | {"meaning": " edge"}]}, "the meaning of a code"),
        ({"nodule": [NODULE | {"scheme": "SÇT"}]}, "must be ASCII"),
    ],
)
def test_an_invalid_code_is_refused_in_words(codes: dict[str, Any], problem: str) -> None:
    """An invalid code would make every report of the bundle invalid."""
    with pytest.raises(RefusedModel, match=problem):
        bundle_from_card(CARD | {"codes": codes})


def test_codes_can_be_added_to_a_bundle_that_was_used(tmp_path: Path) -> None:
    """The digest does not cover them, so that results before and after belong to the same bundle."""
    shipped = find_bundle("phantom")
    folder = tmp_path / "phantom"
    folder.mkdir()
    for file in shipped.files:
        (folder / file).symlink_to(shipped.path / file)
    card = json.loads((shipped.path / CARD_FILE).read_text())
    del card["codes"]
    (folder / CARD_FILE).write_text(json.dumps(card))

    assert (load_bundle(folder).digest, load_bundle(folder).codes) == (shipped.digest, {})
    assert shipped.codes["nodule"][0] == LabelCode(**NODULE)

    (folder / CARD_FILE).write_text(json.dumps(card | {"codes": [NODULE]}))
    with pytest.raises(StopWork, match="codes must be a JSON object"):
        load_bundle(folder)


def test_the_first_code_is_preferred_and_the_others_are_equivalent() -> None:
    """The label itself stays in the report, under the scheme of nightread."""
    concept = label_concept(bundle(nodule=(LabelCode(**NODULE), LabelCode(**RADLEX))), "nodule")

    assert (concept.value, concept.scheme_designator, concept.meaning) == ("27925004", "SCT", "Nodule")
    assert [(one.CodingSchemeDesignator, one.CodeValue) for one in concept.EquivalentCodeSequence] == [
        ("RADLEX", "RID3875"),
        ("99NIGHTREAD", "nodule"),
    ]
    assert label_concept(bundle(), "nodule") == label_code("nodule")
    assert "EquivalentCodeSequence" not in label_concept(bundle(), "nodule")


def test_a_long_code_value_has_its_own_element() -> None:
    """Code Value has at most 16 characters (PS3.3, table 8.8-1)."""
    long = LabelCode(scheme="SCT", value="1234567890123456789", meaning="Something")
    concept = label_concept(bundle(nodule=(long,)), "nodule")
    assert concept.LongCodeValue == long.value
    assert "CodeValue" not in concept


def test_the_name_of_a_score_tells_its_label() -> None:
    """Each label has a code of its own, and a name that a viewer can show."""
    assert probability_of("nodule").meaning == "Probability of nodule"
    assert probability_of("nodule").value != probability_of("mass").value
    assert len(probability_of("x" * 100).meaning) == 64
