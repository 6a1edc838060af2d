"""The quick walk takes what PS3.5 section 7 allows, and gives up at anything else: the careful walk reads that."""

import struct

import pytest

from imaging import walk as walk_module
from imaging.walk import (
    LONG_VRS,
    NO_TAG,
    SHORT_VRS,
    UNDEFINED,
    Element,
    Encoding,
    HeaderError,
    is_vr,
    item_encoding,
    item_header,
    walk,
)

EXPLICIT, IMPLICIT = Encoding(implicit=False, little=True), Encoding(implicit=True, little=True)
BIG = Encoding(implicit=False, little=False)
MODALITY, SEQUENCE, ROWS, PIXELS = 0x00080060, 0x00180012, 0x00280010, 0x7FE00010
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD


def short(tag: int, vr: bytes, value: bytes, *, order: str = "<") -> bytes:
    """Return an element with explicit VR and a length of two bytes."""
    return struct.pack(f"{order}HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value


def long(tag: int, vr: bytes, value: bytes, *, length: int | None = None) -> bytes:
    """Return an element with explicit VR and a length of four bytes."""
    written = len(value) if length is None else length
    return struct.pack("<HH2sHI", tag >> 16, tag & 0xFFFF, vr, 0, written) + value


def implicit(tag: int, value: bytes = b"", *, length: int | None = None) -> bytes:
    """Return an element with implicit VR, an item or a delimiter."""
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value) if length is None else length) + value


CT, ROW = short(MODALITY, b"CS", b"CT"), short(ROWS, b"US", b"\x05\x00")
IN_ROW, IN_CT = {ROWS: (b"US", 8, 2)}, {MODALITY: (b"CS", 8, 2)}


def walked(
    data: bytes, encoding: Encoding = EXPLICIT, *, end: int | None = None, before: int = NO_TAG, depth: int = 0
) -> tuple[dict[int, Element], int]:
    """Return the elements, and the position behind the last one."""
    found: dict[int, Element] = {}
    return found, walk(data, encoding, 0, len(data) if end is None else end, found, before=before, depth=depth)


def gives_up(data: bytes, encoding: Encoding = EXPLICIT, **options: int) -> None:
    """Check that the walk leaves these bytes to the careful one; its error has no message."""
    with pytest.raises(HeaderError, match=r"^$"):
        walked(data, encoding, **options)


def test_a_header_of_8_bytes_may_end_with_the_data() -> None:
    """An element without a value is complete; seven bytes of it are not."""
    empty = short(ROWS, b"US", b"")
    assert walked(CT + empty) == (IN_CT | {ROWS: (b"US", 18, 0)}, 18)
    gives_up(CT + empty[:-1])
    assert walked(b"") == ({}, 0)


def test_a_header_of_12_bytes_may_end_with_the_data() -> None:
    """11 bytes are none."""
    data = long(SEQUENCE, b"OB", b"")
    assert walked(data) == ({SEQUENCE: (b"OB", 12, 0)}, 12)
    gives_up(data[:-1])
    gives_up(data, end=11)


def test_a_value_may_end_with_the_data() -> None:
    """One byte less is too little, though more bytes may be behind the end of an item."""
    assert walked(CT) == (IN_CT, 10)
    gives_up(CT[:-1])
    gives_up(CT, end=9)
    gives_up(implicit(MODALITY, b"CT"), IMPLICIT, end=9)


def test_tags_ascend() -> None:
    """Neither the same tag twice nor a lower one is regular."""
    assert walked(CT + ROW)[1] == 20
    gives_up(CT + CT)
    gives_up(ROW + CT)
    assert walked(short(0, b"UL", b"\0\0\0\0") + CT)[1] == 22


def test_the_walk_stops_at_a_tag() -> None:
    """At the tag itself, and at the first behind it; a lower tag is no reason."""
    assert walked(CT + ROW, before=ROWS) == (IN_CT, 10)
    assert walked(CT + ROW, before=ROWS - 1) == (IN_CT, 10)
    assert walked(CT + ROW, before=ROWS + 1)[1] == 20


@pytest.mark.parametrize("vr", sorted(SHORT_VRS))
def test_short_vrs_have_a_length_of_two_bytes(vr: bytes) -> None:
    """PS3.5 section 7.1.2."""
    assert walked(short(ROWS, vr, b"ab")) == ({ROWS: (vr, 8, 2)}, 10)


@pytest.mark.parametrize("vr", sorted(LONG_VRS))
def test_long_vrs_have_a_length_of_four_bytes(vr: bytes) -> None:
    """PS3.5 section 7.1.2."""
    assert walked(long(ROWS, vr, b"ab")) == ({ROWS: (vr, 12, 2)}, 14)


def test_all_vrs_are_known() -> None:
    """PS3.5 section 6.2 has 34."""
    known = "AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV"
    assert sorted(vr.decode() for vr in SHORT_VRS | LONG_VRS) == known.split()
    assert all(is_vr(vr.encode()) for vr in known.split())
    assert not is_vr(b"QQ")
    assert not is_vr(b"")


def test_an_element_may_switch_to_implicit_vr() -> None:
    """Where explicit VR has letters is a length then. One that may be letters, from 0x2020 on, is not certain."""
    data = implicit(ROWS, bytes(0x201F))
    assert walked(data) == ({ROWS: (b"", 8, 0x201F)}, 8 + 0x201F)
    gives_up(implicit(ROWS, bytes(0x2020)))
    assert walked(implicit(ROWS, bytes(0x2020)), IMPLICIT) == ({ROWS: (b"", 8, 0x2020)}, 8 + 0x2020)
    opened = implicit(SEQUENCE, implicit(SEQUENCE_END), length=UNDEFINED)
    assert walked(opened + ROW) == ({SEQUENCE: (b"", 8, UNDEFINED), ROWS: (b"US", 24, 2)}, 26)


def test_implicit_vr_has_no_letters() -> None:
    """A length of 0x5355 is not the VR US."""
    assert walked(implicit(ROWS, bytes(0x5355)), IMPLICIT) == ({ROWS: (b"", 8, 0x5355)}, 8 + 0x5355)
    assert walked(implicit(ROWS, bytes(0x424F)), IMPLICIT) == ({ROWS: (b"", 8, 0x424F)}, 8 + 0x424F)


def test_big_endian_swaps_tags_and_both_lengths() -> None:
    """PS3.5 section 7.3."""
    data = short(MODALITY, b"CS", b"CT", order=">") + b"\x00\x18\x00\x12OB\x00\x00\x00\x00\x00\x02ab"
    assert walked(data, BIG) == (IN_CT | {SEQUENCE: (b"OB", 22, 2)}, 24)
    assert walked(implicit(MODALITY, b"CT")[:4][1::-1] + b"\x00\x60\x00\x00\x00\x02CT", Encoding(True, False)) == (
        {MODALITY: (b"", 8, 2)}, 10,
    )  # fmt: skip


@pytest.mark.parametrize("tag", [0x7FE00008, 0x7FE00009, 0x7FE00010])
def test_the_walk_stops_at_the_pixels_of_a_data_set(tag: int) -> None:
    """Their length is not looked at; in an item they are an element like others."""
    data = long(tag, b"OW", b"ab", length=100)
    assert walked(CT + data + b"anything") == (IN_CT | {tag: (b"OW", 22, 100)}, 22)
    gives_up(CT + data, depth=1)
    assert walked(long(tag, b"OW", b"ab"), depth=1) == ({tag: (b"OW", 12, 2)}, 14)


def test_pixels_need_a_vr_unless_it_is_implicit() -> None:
    """The careful walk looks whether the two bytes are letters or a length."""
    gives_up(implicit(PIXELS, b"ab"))
    assert walked(implicit(PIXELS, b"ab"), IMPLICIT) == ({PIXELS: (b"", 8, 2)}, 8)


def test_a_delimiter_ends_an_item_only() -> None:
    """In a data set there is none, and no other delimiter ends an item."""
    assert walked(CT + implicit(ITEM_END) + ROW, depth=1) == (IN_CT, 18)
    gives_up(CT + implicit(ITEM_END))
    gives_up(CT + implicit(SEQUENCE_END), depth=1)
    gives_up(CT + implicit(ITEM), depth=1)
    gives_up(CT + implicit(0xFFFEE001), depth=1)
    assert walked(implicit(0xFFFEDFFF, b"ab"), depth=1) == ({0xFFFEDFFF: (b"", 8, 2)}, 10)


def test_zeros_at_the_end_are_padding() -> None:
    """Fewer than eight: more look like an element with the tag 0."""
    assert walked(CT + bytes(7)) == (IN_CT, 17)
    gives_up(CT + bytes(8))
    gives_up(CT + bytes(5) + b"\x01")
    assert walked(CT + bytes(5) + b"\x01", end=15) == (IN_CT, 15)


def test_the_number_of_elements_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """100,000 of 8 bytes each; here two."""
    assert walk_module.MAX_ELEMENTS == 100_000
    monkeypatch.setattr(walk_module, "_EVERY_ELEMENT", range(3))
    assert walked(CT + ROW)[1] == 20
    gives_up(CT + ROW + short(ROWS + 1, b"US", b"\x05\x00"))


def opened(content: bytes) -> bytes:
    """Return a sequence of undefined length."""
    return long(SEQUENCE, b"SQ", content, length=UNDEFINED)


IN_OPENED = {SEQUENCE: (b"SQ", 12, UNDEFINED)}


def test_a_sequence_of_undefined_length_is_skipped() -> None:
    """Items of defined and undefined length, with elements that the data set has not."""
    items = implicit(ITEM, CT) + implicit(ITEM, CT + implicit(ITEM_END), length=UNDEFINED)
    found, end = walked(opened(items + implicit(SEQUENCE_END)) + ROW)
    assert (found, end) == (IN_OPENED | {ROWS: (b"US", 72, 2)}, 74)
    assert walked(opened(implicit(SEQUENCE_END))) == (IN_OPENED, 20)


@pytest.mark.parametrize(
    "content",
    [
        implicit(ITEM, CT) + CT,
        implicit(ITEM, CT),
        implicit(ITEM_END) + implicit(SEQUENCE_END),
        implicit(ITEM, CT + implicit(ITEM_END) + implicit(SEQUENCE_END), length=UNDEFINED)[:-1],
        implicit(ITEM, CT + implicit(SEQUENCE_END), length=UNDEFINED),
    ],
    ids=["an element", "the end of the data", "an item delimiter", "a cut delimiter", "an open item"],
)
def test_a_sequence_must_end_with_its_delimiter(content: bytes) -> None:
    """Whatever else follows an item is irregular."""
    gives_up(opened(content))


def test_sequences_are_nested_32_deep_at_most() -> None:
    """Each level is an open item with a sequence of undefined length."""
    begin, end = opened(implicit(ITEM, length=UNDEFINED)), implicit(ITEM_END) + implicit(SEQUENCE_END)
    innermost = opened(implicit(SEQUENCE_END))
    assert walked(begin * 31 + innermost + end * 31)[0] == IN_OPENED
    gives_up(begin * 32 + innermost + end * 32)


ITEM_OF = implicit(ITEM, length=UNDEFINED)


@pytest.mark.parametrize(
    ("vr", "content", "expected"),
    [
        (b"SQ", ITEM_OF + CT, BIG),
        (b"", ITEM_OF + CT, BIG),
        (b"UN", ITEM_OF + CT, EXPLICIT),
        (b"UN", ITEM_OF + long(SEQUENCE, b"SQ", b""), EXPLICIT),
        (b"UN", ITEM_OF + implicit(MODALITY, b"CT"), IMPLICIT),
        (b"UN", ITEM_OF + b"\x08\x00\x60\x00CS\x00\x00", IMPLICIT),
        (b"UN", ITEM_OF + b"\x08\x00\x60\x00CS\x00\x01", EXPLICIT),
        (b"UN", ITEM_OF + b"\x08\x00\x60\x00CS\x01\x00", EXPLICIT),
        (b"UN", implicit(SEQUENCE_END), IMPLICIT),
    ],
)
def test_items_of_a_sequence_of_unknown_vr(vr: bytes, content: bytes, expected: Encoding) -> None:
    """PS3.5 section 6.2.2: implicit VR, little endian. A VR with a length shows that the writer kept explicit VR."""
    assert item_encoding(b"??" + content, BIG, vr, 2) == expected


def test_the_elements_of_an_open_item_of_unknown_vr_are_little_endian() -> None:
    """The data set may be big endian: its own length is swapped, the items are not."""
    head = b"\x00\x18\x00\x12UN\x00\x00\xff\xff\xff\xff"
    item = implicit(ITEM, implicit(MODALITY, b"CT") + implicit(ITEM_END), length=UNDEFINED)
    data = head + item + implicit(SEQUENCE_END) + short(ROWS, b"US", b"\x00\x05", order=">")
    assert walked(data, BIG) == ({SEQUENCE: (b"UN", 12, UNDEFINED), ROWS: (b"US", 54, 2)}, 56)


def test_an_item_header_has_8_bytes() -> None:
    """Tag and length, in the byte order of the data."""
    assert item_header(b"?" + implicit(ITEM, length=7), 1, EXPLICIT) == (ITEM, 7)
    assert item_header(b"\xff\xfe\xe0\x00\x00\x00\x00\x07", 0, BIG) == (ITEM, 7)
    with pytest.raises(HeaderError):
        item_header(implicit(ITEM, length=7), 1, EXPLICIT)
