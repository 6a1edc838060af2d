"""The items of key object notes and of our own reports: each condition alone."""

import pytest
from explicit_elements import data_set, element, sequence

from imaging import key_objects
from imaging.elements import Elements
from imaging.key_objects import read_rejection
from imaging.own_results import is_own_result
from nightread.errors import RejectImage
from nightread.reasons import Reason

STUDY = element(0x0020000D, "UI", "1.2.3")
TITLES, EVIDENCE, SERIES, INSTANCES = 0x0040A043, 0x0040A375, 0x00081115, 0x00081199
NOTHING_NAMED = "The key object note rejects no image of its own study."


def title(code: str, scheme: str = "DCM") -> bytes:
    """Return an item of the Concept Name Code Sequence."""
    return element(0x00080100, "SH", code) + element(0x00080102, "SH", scheme)


def evidence(*uids: str, study: bytes = STUDY) -> bytes:
    """Return an item of the evidence sequence that names these instances, in one series each."""
    series = [sequence(INSTANCES, [element(0x00081155, "UI", uid)]) for uid in uids]
    return sequence(SERIES, series) + study


def note(*items: bytes, titles: tuple[bytes, ...] = (title("113001"),), study: bytes = STUDY) -> Elements:
    """Return a key object note with these items of its evidence sequence."""
    return data_set(study, sequence(TITLES, titles), sequence(EVIDENCE, items))


def named(elements: Elements) -> tuple[str, ...]:
    """Return the instances that the note rejects."""
    rejection = read_rejection(elements)
    assert rejection is not None
    return rejection.sop_instance_uids


def refused(elements: Elements) -> str:
    """Return the detail of a note that is rejected."""
    with pytest.raises(RejectImage) as refusal:
        read_rejection(elements)
    assert refusal.value.reason is Reason.BAD_KEY_OBJECT
    return refusal.value.detail


def test_images_of_other_studies_are_left_out() -> None:
    """An item of another study, or of none, ends nothing: the next item may be of the study of the note."""
    other = element(0x0020000D, "UI", "1.2.4")
    assert named(note(evidence("1.9", study=other), evidence("1.5"), evidence("1.8", study=b""), evidence("1.6"))) == (
        "1.5",
        "1.6",
    )


def test_an_instance_without_uid_is_left_out() -> None:
    """The others are named."""
    assert named(note(evidence("1.5", "", "1.6"))) == ("1.5", "1.6")
    assert refused(note(evidence(""))) == NOTHING_NAMED


def test_a_uid_that_is_too_long_fits_its_column() -> None:
    """A UID has at most 64 characters (PS3.5 section 9.1). Two that begin alike stay two."""
    first, second = named(note(evidence("1" * 65, "1" * 66)))
    assert first != second
    assert [(len(uid), uid[:47]) for uid in (first, second)] == [(64, "1" * 47)] * 2
    long, longer = (element(0x0020000D, "UI", "2" * length) for length in (66, 68))
    rejection = read_rejection(note(evidence("1.5", study=long), evidence("1.6", study=longer), study=long))
    assert rejection is not None
    assert rejection.sop_instance_uids == ("1.5",)
    assert len(rejection.study_instance_uid) == 64


def test_a_later_title_may_reject() -> None:
    """The first one is of another scheme, the second has another code."""
    titles = title("113001", "99LOCAL"), title("113000"), title("113037")
    rejection = read_rejection(note(evidence("1.5"), titles=titles))
    assert rejection is not None
    assert rejection.code == "113037"
    assert read_rejection(note(evidence("1.5"), titles=titles[:2])) is None
    assert read_rejection(note(evidence("1.5"), titles=())) is None


@pytest.mark.parametrize("count", [2, 3])
def test_a_note_without_study_names_nothing(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Evidence without a study does not belong to it; it is not even counted."""
    monkeypatch.setattr(key_objects, "MOST_INSTANCES", 2)
    assert refused(note(evidence(*["1.5"] * count, study=b""), study=b"")) == NOTHING_NAMED


def test_the_number_of_instances_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds for all items together; instances of other studies do not count."""
    monkeypatch.setattr(key_objects, "MOST_INSTANCES", 2)
    other = evidence("1.7", "1.8", "1.9", study=element(0x0020000D, "UI", "1.2.4"))

    assert named(note(other, evidence("1.5"), evidence("1.6"))) == ("1.5", "1.6")
    assert refused(note(evidence("1.5"), evidence("1.6", "1.6"))) == "The note names more than 2 instances."


@pytest.mark.parametrize("tag", [TITLES, EVIDENCE])
def test_a_damaged_sequence_is_named(tag: int) -> None:
    """The length of its only element is beyond the end of the file."""
    broken = sequence(tag, [element(0x00080100, "SH", "1", length=900)])
    titles = sequence(TITLES, [title("113001")]) if tag == EVIDENCE else b""
    assert refused(data_set(STUDY, titles, broken)).startswith("The file ends within CodeValue (0008,0100)")


def report(*elements: bytes, modality: str = "SR") -> Elements:
    """Return a report with these elements."""
    return data_set(element(0x00080060, "CS", modality), *elements)


def schemes(*names: str) -> bytes:
    """Return a Coding Scheme Identification Sequence with these designators."""
    return sequence(0x00080110, [element(0x00080102, "SH", name) for name in names])


@pytest.mark.parametrize(
    ("elements", "own"),
    [
        ((element(0x00080070, "LO", "nightread"),), True),
        ((element(0x00080070, "LO", "A PACS"),), False),
        ((schemes("99ELSE", "99NIGHTREAD"),), True),
        ((schemes("99NIGHTREAD", "99ELSE"),), True),
        ((schemes("99ELSE", "DCM"),), False),
        ((schemes(),), False),
        ((), False),
        ((sequence(0x00080110, [element(0x00080102, "SH", "99NIGHTREAD", length=900)]),), False),
        ((element(0x00080070, "LO", "nightread"), sequence(0x00080110, [b"\x08\x00"], length=900)), True),
    ],
    ids=[
        *("own maker", "other maker", "own scheme last", "own scheme first", "other schemes", "no scheme"),
        *("neither", "damaged scheme", "own maker and damaged schemes"),
    ],
)
def test_what_makes_a_report_our_own(elements: tuple[bytes, ...], own: bool) -> None:
    """The maker or one of the declared schemes; a damaged sequence declares nothing."""
    assert is_own_result(report(*elements)) is own
    assert is_own_result(report(*elements, modality="KO")) is False
