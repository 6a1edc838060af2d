"""The last byte, value and item that a data set gives, and the texts that cannot be decoded; written by hand."""

import struct
import warnings

import pytest
from test_imaging_elements import implicit, long, read, short

from imaging.elements import Elements, decimal
from imaging.walk import Encoding, HeaderError, TruncatedError

EXPLICIT = Encoding(implicit=False, little=True)
SEQUENCE, CODE, NAME, CHARACTER_SET = 0x00180012, 0x00080100, 0x00100010, 0x00080005
ROWS, SLOPE, SMALLEST, PRIVATE, PIXELS = 0x00280010, 0x00281053, 0x00280106, 0x00291001, 0x7FE00010
ITEM_END, SEQUENCE_END = implicit(0xFFFEE00D, b""), implicit(0xFFFEE0DD, b"")
OPEN = 0xFFFFFFFF
AB, CD = short(CODE, "SH", b"AB"), short(CODE, "SH", b"CD")


def item(content: bytes, *, length: int | None = None) -> bytes:
    """Return an item."""
    return implicit(0xFFFEE000, content, length=length)


def codes(content: bytes, *, length: int | None = None, behind: bytes = b"") -> list[str | None]:
    """Return the code of each item of a sequence."""
    data = long(SEQUENCE, "SQ", content, length=length) + behind
    return [each.text(CODE) for each in Elements(data, EXPLICIT, 0, len(data)).items(SEQUENCE)]


@pytest.mark.parametrize(
    ("content", "length", "expected"),
    [
        (item(AB) + item(CD), None, ["AB", "CD"]),
        (item(AB) + ITEM_END + item(CD), None, ["AB", "CD"]),
        (item(AB) + ITEM_END + item(CD) + SEQUENCE_END, OPEN, ["AB", "CD"]),
        (item(AB) + SEQUENCE_END, OPEN, ["AB"]),
        (item(AB + ITEM_END, length=OPEN) + item(CD + ITEM_END, length=OPEN) + SEQUENCE_END, OPEN, ["AB", "CD"]),
        (item(AB + ITEM_END, length=OPEN) + item(CD), None, ["AB", "CD"]),
        (item(AB) + item(CD), 18, ["AB"]),
        (item(b"") + item(CD), None, [None, "CD"]),
        (SEQUENCE_END, OPEN, []),
    ],
)
@pytest.mark.parametrize("behind", [b"", short(ROWS, "US", b"\x05\x00")])
def test_items_end_with_their_sequence(content: bytes, length: int | None, expected: list[str], behind: bytes) -> None:
    """Its length, its delimiter or the end of the file; a delimiter of an item may stand between two of them."""
    if length == 18:  # The walk notices the item behind the said end, so that the length counts only at the end.
        content = content[:18]
    assert codes(content, length=length, behind=behind) == expected


def test_a_sequence_may_be_cut_within_the_header_of_an_item() -> None:
    """The items before it are given; a whole header of eight bytes may be the last."""
    data = long(SEQUENCE, "SQ", item(AB) + item(b""), length=100)
    whole = Elements(data, EXPLICIT, 0, len(data)).items(SEQUENCE)
    assert [each.text(CODE) for each in (next(whole), next(whole))] == ["AB", None]
    for cut in (1, 7):
        items = Elements(data[:-cut], EXPLICIT, 0, len(data) - cut).items(SEQUENCE)
        assert next(items).text(CODE) == "AB"
        with pytest.raises(TruncatedError, match=r"^The file ends within the sequence ContrastBolusAgentSequence"):
            next(items)


def test_an_element_ends_with_the_end_that_is_given() -> None:
    """The file may go on, and the given end may lie behind that of the file."""
    data = AB + short(ROWS, "US", b"\x05\x00")
    assert list(Elements(data, EXPLICIT, 0, 10)) == [CODE]
    beyond = Elements(data, EXPLICIT, 0, 1000)
    assert (list(beyond), beyond.end, beyond.fault) == ([CODE, ROWS], 20, None)


def test_a_fault_leaves_what_the_careful_walk_found() -> None:
    """Not what the quick one had found before: it took a length that does not count the padding at its word."""
    data = short(NAME, "PN", b"abc") + b" " + short(ROWS, "US", b"\x05\x00")
    elements = Elements(data, EXPLICIT, 0, len(data))
    assert (list(elements), elements.text(NAME), elements.integer(ROWS)) == ([NAME, ROWS], "abc", 5)
    assert (elements.start, elements.end) == (0, len(data))
    dashes = struct.pack("<HH2sH", 0x0010, 0x21B0, b"--", 4) + b"abcd" + long(PIXELS, "OW", b"ab")
    careful = Elements(dashes + b"behind", EXPLICIT, 0, len(dashes) + 6)
    assert (list(careful), careful.end) == ([0x001021B0, PIXELS], len(dashes) - 2)
    before = Elements(dashes, EXPLICIT, 0, len(dashes), before=0x7FE00000)
    assert (list(before), before.end) == ([0x001021B0], 12)
    within = Elements(dashes + AB, EXPLICIT, 0, len(dashes) + 10, depth=1)
    assert list(within) == [0x001021B0, PIXELS, CODE]


def test_integers_of_every_vr_and_order() -> None:
    """The common case is one US of two bytes; others are one whole number."""
    assert read(short(ROWS, "US", b"\x01\x02", order=">"), Encoding(implicit=False, little=False)).integer(ROWS) == 258
    assert read(short(0x00080005, "CS", b"AB") + short(ROWS, "US", b"\x02\x01")).integer(ROWS) == 258
    assert read(short(ROWS, "UL", b"\x01\x00\x01\x00")).integer(ROWS) == 65_537
    assert read(short(ROWS, "SS", b"\xfe\xff")).integer(ROWS) == -2
    assert read(short(ROWS, "IS", b"12")).integer(ROWS) == 12
    assert read(long(ROWS, "UN", b"\x02\x01")).integer(ROWS) == 258


@pytest.mark.parametrize(
    ("tag", "vr", "value", "expected"),
    [
        (SMALLEST, "UN", b"\xff\xff", [65_535]),
        (0x00283006, "OW", b"\x01\x00\x02\x00", [1, 2]),
        (0x00283006, "UN", b"\x01\x00\x02\x00", [1, 2]),
        (ROWS, "FL", b"\x00\x00\x80\x3f\x00\x00\x00\x40", [1, 2]),
    ],
)
def test_numbers_of_an_unknown_vr(tag: int, vr: str, value: bytes, expected: list[float]) -> None:
    """The dictionary says US or SS, or US or OW."""
    data = long(tag, vr, value) if vr != "FL" else short(tag, vr, value)
    assert read(data).numbers(tag) == expected


@pytest.mark.parametrize("values", [(1.0, float("nan")), (float("inf"), 1.0), (1.0, float("-inf"))])
def test_one_value_that_is_not_finite_is_enough(values: tuple[float, float]) -> None:
    """Binary numbers may be that."""
    with pytest.raises(HeaderError, match=r"^RescaleSlope \(0028,1053\) is not a finite number\.$"):
        read(short(SLOPE, "FL", struct.pack("<2f", *values))).numbers(SLOPE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1.5", 1.5), ("1,5", 1.5), ("1_5", None), ("1,000,5", None), ("", None), ("x", None), (" 7 ", 7)],
)
def test_a_decimal_has_one_separator(text: str, expected: float | None) -> None:
    """Python reads underscores, DICOM does not know them."""
    assert decimal(text) == expected


@pytest.mark.parametrize(
    ("character_set", "value", "expected"),
    [
        (b"ISO_IR 101", b"Wa\xb3\xeasa", "Wałęsa"),
        (b"nothing known \\ISO_IR 101", b"Wa\xb3\xeasa", "Wałęsa"),
        (b"ISO_IR 101\\ISO_IR 100", b"Wa\xb3\xeasa", "Wałęsa"),
        (b"ISO_IR 101\x00", b"Wa\xb3\xeasa", "Wałęsa"),
        (b"ISO_IR 192", b"\xff ", "\N{REPLACEMENT CHARACTER}"),
        (b"ISO 2022 IR 100\\ISO 2022 IR 144", b"\x1b-L\xb8\xd2\xd0\xdd \xe9", "\u0418\u0432\u0430\u043d \u0449"),
        (b"nothing known ", b"A\x1b-Z\xe9", "A\x1b-Z\xe9"),
        (b"nothing known ", b" \x1b", "\x1b"),
        (b"ISO_IR 192", b"\xc2\xa0", "\xa0"),
        (b"ISO_IR 192", b"\xef\xbb\xbf\x00", "\ufeff"),
    ],
)
def test_texts_are_decoded_by_the_first_known_character_set(character_set: bytes, value: bytes, expected: str) -> None:
    """Code extensions follow an escape (PS3.3 C.12.1.1.2); without a known set bytes are Latin 1."""
    elements = read(short(CHARACTER_SET, "CS", character_set) + short(NAME, "PN", value))
    assert elements.text(NAME) == expected


def test_text_that_is_only_padding_behind_a_character_set_is_absent() -> None:
    """In ASCII it is as well."""
    for value in (b"  ", b"\x00\x00"):
        assert read(short(CHARACTER_SET, "CS", b"ISO_IR 192") + short(NAME, "PN", value)).text(NAME) is None
    padding = read(short(CHARACTER_SET, "CS", b"ISO 2022 IR 100") + short(NAME, "PN", b"\x1b(B  "))
    assert padding.text(NAME) is None


def test_an_unknown_escape_says_nothing() -> None:
    """A warning of the library would quote the name; the filters of the process stay as they are."""
    filters = list(warnings.filters)
    elements = read(short(CHARACTER_SET, "CS", b"ISO 2022 IR 100") + short(NAME, "PN", b"Doe\x1b-Z^Jane"))
    assert (elements.text(NAME) or "").startswith("Doe")
    assert list(warnings.filters) == filters


def test_long_texts_are_cut() -> None:
    """At 4096 bytes, and values at one MiB."""
    assert len(read(short(NAME, "LT", b"x" * 4098)).text(NAME) or "") == 4096
