"""What a database column, an image kind and the default limits hold, to the last value; and the limit of a note."""

import math
from hashlib import blake2b

import pytest
from dicom_media import rejection_note
from hostile_texts import HOSTILE, UNSAFE
from pydicom.dataset import Dataset

from imaging import facts, key_objects
from imaging.facts import storable_integer, storable_text, storable_uid
from imaging.header import read_header
from imaging.kind import COLOUR, GREY, ImageKind
from imaging.limits import DEFAULT_LIMITS, Limits
from nightread.errors import RejectImage
from nightread.reasons import Reason

STUDY = "1.2.3"


def test_the_lengths_are_those_of_the_value_representations() -> None:
    """PS3.5 section 6.2: UI 64, CS 16, LO 64; a key is a SHA-256 in hex digits."""
    lengths = (facts.UID_LENGTH, facts.CODE_LENGTH, facts.TEXT_LENGTH, facts.KEY_LENGTH, facts.ISSUER_LENGTH)
    assert lengths == (64, 16, 64, 64, 200)


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (0, 0),
        (-1, None),
        (2_147_483_647, 2_147_483_647),
        (2_147_483_648, None),
        ("12", 12),
        ("x", None),
        (None, None),
        (math.inf, None),
        (math.nan, None),
    ],
)
def test_an_integer_of_31_bits_is_stored(value: object, stored: int | None) -> None:
    """Any other value is none."""
    assert storable_integer(value) == stored


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (None, None),
        ("", None),
        ("  \x00 ", None),
        (" CT\x00 ", "CT"),
        (7, "7"),
        ("abcd", "abcd"),
        ("abcde", "abcd"),
        ("\x00 abcde", "abcd"),
        ("a\ud800b", "a?b"),
    ],
)
def test_a_text_is_stripped_and_cut(value: object, stored: str | None) -> None:
    """Here for a column of four characters."""
    assert storable_text(value, 4) == stored


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_unsafe_character_is_stored(text: str) -> None:
    """Neither in a text nor in a UID. The text is cut after it was made harmless, so that it fits its column."""
    for stored in (storable_text(text, 64), storable_text(text, 5), storable_uid(text), storable_uid(f"1.{text * 9}")):
        assert stored
        assert not UNSAFE.search(stored)
        assert "\n" not in stored
        assert len(stored) <= facts.UID_LENGTH


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (None, None),
        ("", None),
        (" \x00", None),
        ("1.2.3", "1.2.3"),
        (" 1.2.3\x00", "1.2.3"),
        ("1" * 64, "1" * 64),
        ("x" * 64, "x" * 64),
        ("1.2[/red]", "1.2[/red]"),
        ("1.2\\1.3", "1.2\\1.3"),
        ("1.2\x003", "1.2\\x003"),
        ("1" * 65, f"{'1' * 47}~{blake2b(b'1' * 65, digest_size=8).hexdigest()}"),
    ],
)
def test_a_uid_is_stored_so_that_it_equals_no_other(value: str | None, stored: str | None) -> None:
    """A UID that was cut or cleaned could equal that of another image, which it would then replace."""
    assert storable_uid(value) == stored


def test_an_image_without_a_header_value_is_of_no_kind() -> None:
    """By default it is a grey DICOM image, and none of a test object."""
    assert (GREY, COLOUR) == (1, 3)
    assert ImageKind() == (True, None, None, None, None, None, None, 1, None, None, False)


def test_the_default_limits_are_those_of_the_documentation() -> None:
    """2 GiB of a file, 8 GiB of an object, 512 MiB of an inflated data set."""
    expected = Limits(
        file_bytes=2_147_483_648,
        frame_pixels=100_000_000,
        object_bytes=8_589_934_592,
        frames=100_000,
        inflated_bytes=536_870_912,
    )
    assert expected == DEFAULT_LIMITS


def rejection(data: bytes) -> key_objects.Rejection | None:
    return key_objects.read_rejection(read_header(data, DEFAULT_LIMITS).elements)


def failure(data: bytes) -> tuple[Reason, str]:
    """Return reason and detail of the rejection of the note itself."""
    with pytest.raises(RejectImage) as raised:
        rejection(data)
    return raised.value.reason, raised.value.detail


def test_a_note_names_at_most_20000_instances(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them counts, also one that is named twice; here the limit is three."""
    assert key_objects.MOST_INSTANCES == 20_000
    monkeypatch.setattr(key_objects, "MOST_INSTANCES", 3)
    found = rejection(rejection_note(STUDY, ["1.1", "1.1", "1.2"]))
    assert found is not None
    assert found.sop_instance_uids == ("1.1", "1.2")
    detail = "The note names more than 3 instances."
    assert failure(rejection_note(STUDY, ["1.1", "1.1", "1.2", "1.2"])) == (Reason.BAD_KEY_OBJECT, detail)


def test_a_reference_without_a_uid_is_left_out() -> None:
    """The other images are rejected."""
    found = rejection(rejection_note(STUDY, ["", "1.2"]))
    assert found is not None
    assert found.sop_instance_uids == ("1.2",)


NOTHING = (Reason.BAD_KEY_OBJECT, "The key object note rejects no image of its own study.")


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_a_note_without_a_study_rejects_nothing() -> None:
    """Images without a study are not its own either."""
    assert failure(rejection_note("", ["1.2"], evidence="9.9")) == NOTHING
    assert failure(rejection_note("", ["1.2"])) == NOTHING


def test_a_note_that_cannot_be_read_is_bad() -> None:
    """The detail names the element at which it ends."""
    data = rejection_note(STUDY, ["1.2"])
    reason, detail = failure(data[: data.index(b"113001") + 3])
    assert reason is Reason.BAD_KEY_OBJECT
    assert "(0008,0100)" in detail or "(0040,A043)" in detail


def test_only_code_and_scheme_together_reject() -> None:
    """Any item of the title decides, not only the first."""
    data = rejection_note(STUDY, ["1.2"], code="113039")
    elements = read_header(data, DEFAULT_LIMITS).elements
    assert key_objects.read_rejection(elements) is None
    assert rejection(_with_titles(("113001", "99X"), ("113000", "DCM"))) is None
    found = rejection(_with_titles(("113000", "DCM"), ("113038", "DCM")))
    assert found is not None
    assert (found.code, found.study_instance_uid) == ("113038", STUDY)


def _with_titles(*titles: tuple[str, str]) -> bytes:
    import io  # noqa: PLC0415

    import pydicom  # noqa: PLC0415

    dataset = pydicom.dcmread(io.BytesIO(rejection_note(STUDY, ["1.2"])))
    dataset.ConceptNameCodeSequence = []
    for code, scheme in titles:
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, scheme, "Title"
        dataset.ConceptNameCodeSequence.append(item)
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()
