"""Text from outside, made harmless."""

import json

import pytest
from hostile_texts import HOSTILE, UNSAFE

from nightread.plain_text import is_uid, safe_json, visible

HONEST = [
    "",
    "CHEST PA",
    "ORIGINAL\\PRIMARY",
    "Größe 3 µm²",
    "胸部 正面",
    "צילום חזה",
    "\u0647\u200c\u0627",
    "1.2.840.10008.1",
]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\nb\rc\td", "a\\nb\\rc\\td"),
        ("\x00\x7f\x9b", "\\x00\\x7f\\x9b"),
        ("\u202eexe.txt\u2069", "\\u202eexe.txt\\u2069"),
        ("a\u2028b\u2029", "a\\u2028b\\u2029"),
        ("1.2\u200b.3\ufeff", "1.2\\u200b.3\\ufeff"),
        ("1.2\u00ad\u180e\U0001d173.3", "1.2\\xad\\u180e\\U0001d173.3"),
        ("\udcff", "\\udcff"),
        ("\U000e0041", "\\U000e0041"),
        ("no\u00a0break \x1b", "no\u00a0break \\x1b"),
    ],
)
def test_an_unsafe_character_is_shown_as_an_escape(text: str, shown: str) -> None:
    """Everything else of the text stays as it is."""
    assert visible(text) == shown


@pytest.mark.parametrize("text", HONEST)
def test_letters_of_all_languages_stay_as_they_are(text: str) -> None:
    """Also a joiner that Persian needs within words, and backslashes between values."""
    assert visible(text) == text


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_hostile_text_keeps_an_unsafe_character(text: str) -> None:
    """The result is one line that any terminal shows as it is written."""
    assert not UNSAFE.search(visible(text))
    assert "\n" not in visible(text)
    assert visible(visible(text)) == visible(text)


@pytest.mark.parametrize("text", [*HOSTILE.values(), *HONEST])
def test_json_keeps_its_value_and_has_no_unsafe_character(text: str) -> None:
    """A program reads the same text; a terminal that shows the document is not controlled by it."""
    document = safe_json(json.dumps({text: [text]}, ensure_ascii=False, indent=2))

    assert json.loads(document) == {text: [text]}
    assert not UNSAFE.search(document)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("1.2.840.10008.1.2", True),
        ("1" * 64, True),
        ("1" * 65, False),
        ("", False),
        ("1.2[/red]", False),
        ("1.2\n", False),
        ("1.2 ", False),
        ("1.٢", False),
        ("1.2\\1.3", False),
    ],
)
def test_a_uid_has_digits_and_dots_only(text: str, answer: bool) -> None:
    """At most 64 characters of ASCII (DICOM PS3.5, section 9.1)."""
    assert is_uid(text) is answer
