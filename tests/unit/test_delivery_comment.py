"""The content of a report: comment, observers, and the group of each image."""

from dataclasses import replace
from typing import Any

import pytest
from hostile_texts import HOSTILE, UNSAFE
from pydicom.dataset import Dataset

from db.queries import ReportableResult, ReportedBundle, StudyResults
from delivery.tree import free_texts, measurement_report
from nightread import __version__
from nightread.uids import stable_uid

BUNDLE = ReportedBundle(name="phantom", version="1.0", digest="d" * 64, normal_label="normal")
RESULT = ReportableResult(
    image_id=7,
    sop_instance_uid="1.5",
    sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
    series_instance_uid="1.4",
    modality="CT",
    label="nodule",
    score=0.875,
    frames=(),
    bundle=BUNDLE,
)


def study(*results: ReportableResult, **fields: Any) -> StudyResults:
    """Return a study of these results."""
    values = {"images": len(results), "nameless": 0, "without_result": 0, "patients": 1} | fields
    return StudyResults(study_instance_uid="1.2", results=results, **values)


def labelled(*labels: str | None) -> list[ReportableResult]:
    """Return one result for each label."""
    return [replace(RESULT, label=label, image_id=number) for number, label in enumerate(labels)]


def tree(*results: ReportableResult, marked: bool = False, **fields: Any) -> Dataset:
    """Return the root of the content tree."""
    return measurement_report(study(*results, **fields), not_for_diagnosis=marked)[0]


def comment(*results: ReportableResult, **fields: Any) -> str:
    """Return the summary, which is the last item of the tree."""
    last = tree(*results, **fields).ContentSequence[-1]
    assert (last.RelationshipType, last.ConceptNameCodeSequence[0].CodeValue) == ("CONTAINS", "121106")
    return str(last.TextValue)


def values_of(items: Dataset) -> dict[str, str]:
    """Return the texts and UIDs of a node by the meaning of their names."""
    texts = (item for item in items.ContentSequence if item.ValueType in ("TEXT", "UIDREF"))
    return {item.ConceptNameCodeSequence[0].CodeMeaning: str(item.get("TextValue") or item.UID) for item in texts}


def group_of(result: ReportableResult) -> Dataset:
    """Return the measurement group of one result."""
    (measurements,) = (item for item in tree(result).ContentSequence if "ContentSequence" in item)
    (group,) = measurements.ContentSequence
    return group


def codes_of(group: Dataset) -> dict[str, str]:
    """Return the coded values of a group by the code of their names."""
    coded = (item for item in group.ContentSequence if item.ValueType == "CODE")
    return {item.ConceptNameCodeSequence[0].CodeValue: item.ConceptCodeSequence[0].CodeValue for item in coded}


@pytest.mark.parametrize(
    ("results", "fields", "text"),
    [
        (labelled("nodule"), {}, "1 of 1 image analysed. Found: nodule (1)."),
        (labelled("nodule"), {"without_result": 1}, "1 of 2 images analysed. Found: nodule (1)."),
        (labelled("normal"), {}, "1 of 1 image analysed. No findings."),
        (labelled(None), {}, "1 of 1 image analysed. No findings."),
        (
            labelled("normal", "nodule"),
            {"nameless": 4, "without_result": 8},
            "2 of 14 images analysed. Analysed but without a UID, and so not listed: 4. Found: nodule (1).",
        ),
        (
            labelled("b", "c", "a", "c", "normal", "c", "b", "a"),
            {"marked": True},
            "AI - NOT FOR DIAGNOSIS. 8 of 8 images analysed. Found: c (3), a (2), b (2).",
        ),
    ],
)
def test_the_comment_sums_up_the_study(results: list[ReportableResult], fields: dict[str, Any], text: str) -> None:
    """The most frequent finding is first; findings of the same number are in alphabetical order."""
    assert comment(*results, **fields) == text


def test_each_bundle_is_one_observer() -> None:
    """Two results of one bundle have one device, with name, maker, model and digest."""
    root = tree(RESULT, replace(RESULT, image_id=8, sop_instance_uid="1.6"))
    observers = values_of(root)
    assert observers == {
        "Device Observer UID": stable_uid("device", "d" * 64),
        "Device Observer Name": "phantom@1.0",
        "Device Observer Manufacturer": "nightread",
        "Device Observer Model Name": f"nightread {__version__}",
        "Device Observer Serial Number": "d" * 64,
        "Comment": "2 of 2 images analysed. Found: nodule (2).",
    }
    names = [item.ConceptNameCodeSequence[0].CodeMeaning for item in root.ContentSequence]
    assert names.count("Device Observer UID") == 1
    types = [item for item in root.ContentSequence if item.ConceptNameCodeSequence[0].CodeMeaning == "Observer Type"]
    assert [item.ConceptCodeSequence[0].CodeValue for item in types] == ["121007"]


def test_the_procedures_are_those_of_the_modalities() -> None:
    """CT and MR, each once (CID 100)."""
    root = tree(RESULT, RESULT, replace(RESULT, modality="MR"))
    reported = [item for item in root.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "121058"]
    assert [item.ConceptCodeSequence[0].CodeValue for item in reported] == ["25045-6", "25056-3"]


def test_a_group_has_its_tracking_values_and_its_algorithm() -> None:
    """The tracking UID follows from image and bundle, so that a revision has the same."""
    assert values_of(group_of(RESULT)) == {
        "Tracking Identifier": "image 7",
        "Tracking Unique Identifier": stable_uid("tracking", "1.5", "d" * 64),
        "Algorithm Name": "phantom",
        "Algorithm Version": "1.0",
        "Algorithm Parameters": f"bundle sha256:{'d' * 64}",
    }


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("nodule", {"121071": "nodule", "nodule": "52101004"}),
        ("normal", {"121071": "normal", "ANY_FINDING": "272519000"}),
        (None, {"ANY_FINDING": "272519000"}),
    ],
)
def test_a_group_has_the_codes_of_its_finding(label: str | None, expected: dict[str, str]) -> None:
    """121071 is the finding, 52101004 present, 272519000 absent, 111000 the algorithm family."""
    codes = codes_of(group_of(replace(RESULT, label=label)))
    assert codes.pop("111000") == "123110"
    assert codes == expected


def test_a_group_has_the_probability_of_its_label() -> None:
    """An image without a label has none."""
    numbers = [item for item in group_of(RESULT).ContentSequence if item.ValueType == "NUM"]
    (value,) = numbers[0].MeasuredValueSequence
    assert [item.ConceptNameCodeSequence[0].CodeValue for item in numbers] == ["122157"]
    assert (value.NumericValue, value.MeasurementUnitsCodeSequence[0].CodeValue) == (0.875, "1")
    assert [item for item in group_of(replace(RESULT, label=None)).ContentSequence if item.ValueType == "NUM"] == []


@pytest.mark.parametrize(
    ("frames", "named"),
    [((), None), ((3,), [3]), (tuple(range(1, 1001)), list(range(1, 1001))), (tuple(range(1, 1002)), None)],
    ids=["whole", "one", "1000", "1001"],
)
def test_a_group_names_at_most_1000_frames(frames: tuple[int, ...], named: list[int] | None) -> None:
    """A result of more frames refers to the whole image."""
    images = [item for item in group_of(replace(RESULT, frames=frames)).ContentSequence if item.ValueType == "IMAGE"]
    (image,) = images[0].ReferencedSOPSequence
    assert (image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID) == ("1.2.840.10008.5.1.4.1.1.2", "1.5")
    found = image.get("ReferencedFrameNumber")
    assert (found if named is None else [found] if len(named) == 1 else list(found)) == named


def test_the_free_texts_are_the_labels() -> None:
    """They decide about the character set of the report."""
    assert free_texts(study(*labelled("nodule", None, "groß"))) == ["nodule", "groß"]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_label_brings_no_control_character_into_a_report(text: str) -> None:
    """Neither the code of the label, nor its meaning, nor the comment has one."""
    hostile = replace(RESULT, label=text)
    values = [str(element.value) for element in group_of(hostile).iterall() if element.VR != "SQ"]

    for shown in (comment(hostile), *values):
        assert not UNSAFE.search(shown)
        assert "\n" not in shown


def test_the_comment_counts_images_in_conflict() -> None:
    """Their results are listed, so that no sender suppresses a finding; without conflicts nothing is said."""
    assert "another source" not in comment(RESULT)
    text = comment(*labelled("nodule", "normal"), in_conflict=2)
    assert "Found: nodule (1). Listed images that another source rejects or has sent in another version: 2." in text
