"""Values of data elements; all bytes are written by hand from PS3.5 sections 6.2 and 7.1."""

import struct

import pytest

from imaging.elements import MAX_VALUE_BYTES, Elements
from imaging.walk import UNDEFINED, Encoding, HeaderError, TruncatedError

EXPLICIT = Encoding(implicit=False, little=True)
IMPLICIT = Encoding(implicit=True, little=True)
BIG = Encoding(implicit=False, little=False)
ROWS, COLUMNS, MODALITY, SLOPE = 0x00280010, 0x00280011, 0x00080060, 0x00281053
PATIENT_NAME, CHARACTER_SET = 0x00100010, 0x00080005
SEQUENCE, PIXELS, ICON = 0x00180012, 0x7FE00010, 0x00880200
ITEM, ITEM_END, SEQUENCE_END = ((0xFFFE << 16) | number for number in (0xE000, 0xE00D, 0xE0DD))
OPEN = 0xFFFFFFFF


def short(tag: int, vr: str, value: bytes, *, order: str = "<") -> bytes:
    """Return an element with explicit VR and a length of two bytes."""
    return struct.pack(f"{order}HH2sH", tag >> 16, tag & 0xFFFF, vr.encode(), len(value)) + value


def long(tag: int, vr: str, value: bytes, *, length: int | None = None, order: str = "<") -> bytes:
    """Return an element with explicit VR and a length of four bytes."""
    written = len(value) if length is None else length
    return struct.pack(f"{order}HH2sHI", tag >> 16, tag & 0xFFFF, vr.encode(), 0, written) + value


def implicit(tag: int, value: bytes, *, length: int | None = None) -> bytes:
    """Return an element with implicit VR, an item or a delimiter."""
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value) if length is None else length) + value


def read(data: bytes, encoding: Encoding = EXPLICIT, **options: int) -> Elements:
    """Return the elements of a complete data set."""
    elements = Elements(data, encoding, 0, len(data), **options)
    assert elements.fault is None
    return elements


def test_an_element_has_vr_position_and_length() -> None:
    """Positions count from the beginning of the data; a header has 8 or 12 bytes."""
    data = short(MODALITY, "CS", b"CT") + long(0x00420011, "OB", b"abcd") + short(0x00420012, "LO", b"")
    elements = read(data)
    assert [elements.get(tag) for tag in elements] == [(b"CS", 8, 2), (b"OB", 22, 4), (b"LO", 34, 0)]
    assert (list(elements), len(elements), elements.start, elements.end) == (
        [MODALITY, 0x00420011, 0x00420012], 3, 0, len(data),
    )  # fmt: skip
    assert MODALITY in elements
    assert 0x00080061 not in elements
    assert elements.get(0x00080061) is None


@pytest.mark.parametrize("encoding", [IMPLICIT, BIG])
def test_implicit_and_big_endian_headers(encoding: Encoding) -> None:
    """Implicit VR has a length of four bytes; big endian swaps tag and length."""
    if encoding.implicit:
        data = implicit(MODALITY, b"CT") + implicit(ROWS, b"\x02\x01")
    else:
        data = short(MODALITY, "CS", b"CT", order=">") + short(ROWS, "US", b"\x01\x02", order=">")
    elements = read(data, encoding)
    assert (elements.text(MODALITY), elements.integer(ROWS)) == ("CT", 258)


def test_the_walk_stops_before_a_tag_and_at_its_limit() -> None:
    """The file meta information ends before group 0004; an item ends with its length."""
    data = short(0x00020010, "UI", b"1.2\x00") + short(MODALITY, "CS", b"CT") + short(ROWS, "US", b"\x01\x00")
    meta = read(data, before=0x00030000)
    assert (list(meta), meta.end) == ([0x00020010], 12)
    part = Elements(data, EXPLICIT, 12, 22)
    assert (list(part), part.start, part.end) == ([MODALITY], 12, 22)


def test_the_walk_stops_at_the_pixel_data_of_a_data_set_only() -> None:
    """An icon has pixel data too, and elements behind them."""
    icon = long(PIXELS, "OB", b"ab") + short(0x7FE10010, "LO", b"ab")
    data = long(ICON, "SQ", implicit(ITEM, icon)) + long(PIXELS, "OB", b"abcd") + short(0x7FE10010, "LO", b"ab")
    elements = read(data)
    assert (list(elements), elements.end) == ([ICON, PIXELS], len(data) - 14)
    assert [list(item) for item in elements.items(ICON)] == [[PIXELS, 0x7FE10010]]
    opened = implicit(ITEM, icon + implicit(ITEM_END, b""), length=OPEN) + implicit(SEQUENCE_END, b"")
    for item in read(long(ICON, "SQ", opened, length=OPEN)).items(ICON):
        assert list(item) == [PIXELS, 0x7FE10010]


def test_a_value_has_the_length_of_its_element() -> None:
    """The bytes behind it belong to the next element; no more than one MiB is copied."""
    elements = read(short(0x00100020, "LO", b"12") + short(0x00100021, "LO", b"34"))
    assert (elements.raw(0x00100020), elements.raw(0x00100021), elements.raw(0x00100022)) == (b"12", b"34", b"")
    large = read(long(0x00420011, "OB", b"x" * (MAX_VALUE_BYTES + 2)))
    assert len(large.raw(0x00420011)) == MAX_VALUE_BYTES
    opened = read(long(SEQUENCE, "SQ", implicit(SEQUENCE_END, b""), length=UNDEFINED))
    assert opened.raw(SEQUENCE) == b""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"CT", "CT"), (b"CT\x00", "CT"), (b" CT ", "CT"), (b"A\\ B", "A\\ B"), (b"", None), (b"  ", None),
        (b"\x00\x00", None), (b"x" * 5000, "x" * 4096),
    ],
)  # fmt: skip
def test_text_has_no_padding(value: bytes, expected: str | None) -> None:
    """Spaces and NUL are padding; at most 4 KiB are decoded."""
    elements = read(short(MODALITY, "LO", value))
    assert elements.text(MODALITY) == expected
    assert elements.text(0x00080061) is None


@pytest.mark.parametrize(
    ("character_set", "value", "expected"),
    [
        (b"ISO_IR 192", "Buc^Jérôme".encode(), "Buc^Jérôme"),
        (b"ISO_IR 100", "Buc^Jérôme".encode("latin-1"), "Buc^Jérôme"),
        (b"", b"Buc^J\xe9r\xf4me", "Buc^Jérôme"),
        (b"nothing known ", b"Buc^J\xe9r\xf4me", "Buc^Jérôme"),
        # PS3.5 H.3.1, the ideographic part: ISO 2022 IR 87 after an escape sequence.
        (b"\\ISO 2022 IR 87", b"\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B", "山田^太郎"),
    ],
)
def test_text_is_decoded_by_the_character_set(character_set: bytes, value: bytes, expected: str) -> None:
    """Without a known character set bytes are Latin 1."""
    elements = read(short(CHARACTER_SET, "CS", character_set) + short(PATIENT_NAME, "PN", value))
    assert elements.text(PATIENT_NAME) == expected


@pytest.mark.parametrize(
    ("vr", "value", "expected"),
    [
        ("US", b"\xff\xff\x01\x00", [65535, 1]), ("SS", b"\xff\xff", [-1]), ("UL", b"\xff\xff\xff\xff", [2**32 - 1]),
        ("SL", b"\xfe\xff\xff\xff", [-2]), ("FL", b"\x00\x00\xc0\x3f", [1.5]),
        ("FD", b"\x00\x00\x00\x00\x00\x00\xf8\xbf", [-1.5]), ("DS", b"1.5\\-2e1 \\ +3", [1.5, -20, 3]),
        ("IS", b"12\\-3 ", [12, -3]), ("DS", b"", []), ("DS", b"1\\\\2", [1, 2]), ("DS", b"2047,5", [2047.5]),
    ],
)  # fmt: skip
def test_numbers_are_read_by_their_vr(vr: str, value: bytes, expected: list[float]) -> None:
    """PS3.5 table 6.2-1; a decimal comma counts as a point."""
    elements = read(short(SLOPE, vr, value))
    assert elements.numbers(SLOPE) == expected
    assert elements.number(SLOPE) == (expected[0] if expected else None)
    assert elements.numbers(ROWS) == []


@pytest.mark.parametrize(("vr", "code"), [("UV", "Q"), ("SV", "q")])
def test_numbers_of_eight_bytes_have_a_long_header(vr: str, code: str) -> None:
    """Their VRs are newer than the two-byte length."""
    assert read(long(SLOPE, vr, struct.pack(f"<{code}", 7))).numbers(SLOPE) == [7]


def test_numbers_without_a_usable_vr_have_that_of_the_dictionary() -> None:
    """Rows is US, Rescale Slope is DS, and a smallest pixel value is US or SS."""
    data = implicit(0x00280106, b"\xff\xff") + implicit(ROWS, b"\x02\x00") + implicit(SLOPE, b"1.25")
    elements = read(data, IMPLICIT)
    assert [elements.number(tag) for tag in (0x00280106, ROWS, SLOPE)] == [65535, 2, 1.25]
    assert read(long(ROWS, "UN", b"\x02\x00")).number(ROWS) == 2
    with pytest.raises(HeaderError, match=r"^\(0029,1001\) must be a number"):
        read(implicit(0x00291001, b"\x02\x00"), IMPLICIT).numbers(0x00291001)


@pytest.mark.parametrize(
    ("element", "message"),
    [
        (short(SLOPE, "DS", b"N/A "), "RescaleSlope (0028,1053) holds text that is not a number."),
        (short(SLOPE, "DS", b"1_0 "), "RescaleSlope (0028,1053) holds text that is not a number."),
        (short(SLOPE, "DS", b"1,000.5 "), "RescaleSlope (0028,1053) holds text that is not a number."),
        (short(SLOPE, "DS", b"NaN "), "RescaleSlope (0028,1053) is not a finite number."),
        (short(SLOPE, "DS", b"1e999 "), "RescaleSlope (0028,1053) is not a finite number."),
        (short(SLOPE, "FL", b"\x00\x00\xc0\x7f"), "RescaleSlope (0028,1053) is not a finite number."),
        (short(SLOPE, "US", b"\x01"), "RescaleSlope (0028,1053) at offset 8 has a length that does not fit numbers."),
        (
            short(SLOPE, "FL", b"\0" * 6),
            "RescaleSlope (0028,1053) at offset 8 has a length that does not fit numbers.",
        ),
        (long(SLOPE, "UT", b"1" * 65_536), "RescaleSlope (0028,1053) is too long for a list of numbers."),
    ],
)
def test_the_message_names_keyword_and_tag(element: bytes, message: str) -> None:
    """It never quotes the value."""
    with pytest.raises(HeaderError) as raised:
        read(element).numbers(SLOPE)
    assert str(raised.value) == message


def test_the_longest_value_of_a_short_element_is_read() -> None:
    """65,534 bytes are the longest even length."""
    assert len(read(short(SLOPE, "US", b"\x01\x00" * 32_767)).numbers(SLOPE)) == 32_767


@pytest.mark.parametrize(
    ("element", "expected"),
    [
        (short(ROWS, "US", b"\x02\x01"), 258), (short(ROWS, "IS", b"3.0 "), 3), (short(ROWS, "SS", b"\xff\xff"), -1),
        (short(ROWS, "US", b""), None), (short(COLUMNS, "US", b"\x01\x00"), None),
    ],
)  # fmt: skip
def test_an_integer_is_one_whole_number(element: bytes, expected: int | None) -> None:
    """The common case is one unsigned value of two bytes."""
    assert read(element).integer(ROWS) == expected


@pytest.mark.parametrize("element", [short(ROWS, "US", b"\x01\x00\x02\x00"), short(ROWS, "DS", b"2.5 ")])
def test_other_values_are_no_integer(element: bytes) -> None:
    """There are two values, or a fraction."""
    with pytest.raises(HeaderError, match=r"^Rows \(0028,0010\) must be one integer and is not\.$"):
        read(element).integer(ROWS)


def test_binary_values_have_the_byte_order_of_the_data_set() -> None:
    """Incomplete values at the end are left out."""
    assert read(b"", BIG).unpack(b"\x01\x02\x03\x04\x05", "H") == (258, 772)
    assert read(b"").unpack(b"\x01\x02\x03\x04\x05", "H") == (513, 1027)


CODE = short(0x00080100, "SH", b"AB")
OTHER_CODE = short(0x00080100, "SH", b"CD")


@pytest.mark.parametrize("closed_items", [True, False])
@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize("encoding", [EXPLICIT, IMPLICIT])
def test_items_have_defined_or_undefined_length(encoding: Encoding, closed: bool, closed_items: bool) -> None:
    """The elements behind the sequence are found in each case."""
    content = [CODE, OTHER_CODE] if encoding is EXPLICIT else [implicit(0x00080100, text) for text in (b"AB", b"CD")]
    items = [
        implicit(ITEM, each) if closed_items else implicit(ITEM, each + implicit(ITEM_END, b""), length=OPEN)
        for each in content
    ]
    value = b"".join(items) + (b"" if closed else implicit(SEQUENCE_END, b""))
    length = len(value) if closed else OPEN
    if encoding is EXPLICIT:
        data = long(SEQUENCE, "SQ", value, length=length) + short(ROWS, "US", b"\x05\x00")
    else:
        data = implicit(SEQUENCE, value, length=length) + implicit(ROWS, b"\x05\x00")
    elements = read(data, encoding)
    assert [item.text(0x00080100) for item in elements.items(SEQUENCE)] == ["AB", "CD"]
    first = elements.item(SEQUENCE)
    assert first is not None
    assert (first.text(0x00080100), first.data[first.start :].startswith(content[0])) == ("AB", True)
    assert elements.integer(ROWS) == 5


def test_an_absent_or_empty_sequence_has_no_item() -> None:
    """None stands for the first item."""
    elements = read(long(SEQUENCE, "SQ", b""))
    assert (elements.item(SEQUENCE), list(elements.items(SEQUENCE)), elements.item(ICON)) == (None, [], None)


def test_items_of_a_big_endian_data_set() -> None:
    """The tags of items are swapped too."""
    code = short(0x00080100, "SH", b"AB", order=">")
    value = struct.pack(">HHI", 0xFFFE, 0xE000, len(code)) + code
    elements = read(long(SEQUENCE, "SQ", value, order=">"), BIG)
    assert [item.text(0x00080100) for item in elements.items(SEQUENCE)] == ["AB"]


def test_items_of_an_unknown_sequence_have_implicit_vr() -> None:
    """PS3.5 section 6.2.2; also in a big endian file they are little endian."""
    value = implicit(ITEM, implicit(0x00080100, b"AB"))
    for encoding, order in ((EXPLICIT, "<"), (BIG, ">")):
        elements = read(long(SEQUENCE, "UN", value, order=order), encoding)
        assert [item.text(0x00080100) for item in elements.items(SEQUENCE)] == ["AB"]
    explicit = read(long(SEQUENCE, "UN", implicit(ITEM, CODE)))
    assert [item.text(0x00080100) for item in explicit.items(SEQUENCE)] == ["AB"]


def test_a_value_that_is_no_sequence_has_no_items() -> None:
    """Its first bytes are no item."""
    assert list(read(long(SEQUENCE, "OB", b"abcdefgh")).items(SEQUENCE)) == []


def test_an_item_that_ends_within_an_element_is_an_error() -> None:
    """The items before it are yielded."""
    broken = implicit(ITEM, short(0x00080100, "SH", b"EFGH")[:-2])
    items = read(long(SEQUENCE, "SQ", implicit(ITEM, CODE) + broken) + short(ROWS, "US", b"\x05\x00")).items(SEQUENCE)
    assert next(items).text(0x00080100) == "AB"
    with pytest.raises(HeaderError, match=r"item is too short: it ends within CodeValue \(0008,0100\) at offset 38\.$"):
        next(items)


def test_a_sequence_that_the_file_cuts_is_truncated() -> None:
    """The length of the sequence is more than the file."""
    data = long(SEQUENCE, "SQ", implicit(ITEM, CODE) + b"\xfe\xff\x00", length=100)
    elements = Elements(data, EXPLICIT, 0, len(data))
    assert isinstance(elements.fault, TruncatedError)
    items = elements.items(SEQUENCE)
    assert next(items).text(0x00080100) == "AB"
    with pytest.raises(TruncatedError, match=r"The file ends within the sequence ContrastBolusAgentSequence"):
        next(items)


def test_an_incomplete_data_set_keeps_the_elements_before_the_fault() -> None:
    """A truncated file still has its UIDs."""
    data = short(MODALITY, "CS", b"CT") + short(ROWS, "US", b"\x05\x00")
    for cut in (1, 2, 3, 9):
        elements = Elements(data[:-cut], EXPLICIT, 0, len(data) - cut)
        assert elements.text(MODALITY) == "CT"
        assert isinstance(elements.fault, TruncatedError)
