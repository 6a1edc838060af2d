"""Where the careful walk ends: at a tag, an end, a delimiter or the pixel data, and within something."""

import pytest
from test_imaging_elements import implicit, long, short
from walks import (
    BIG,
    CT,
    FIVE,
    IMPLICIT,
    ITEM,
    ITEM_END,
    MODALITY,
    OPEN,
    OPEN_ITEM,
    PIXELS,
    ROWS,
    SEQUENCE,
    SEQUENCE_END,
    failure,
    header,
    item,
    walked,
)

from imaging import careful_walk
from imaging.walk import Element, HeaderError, TruncatedError

FOUND: dict[int, Element] = {MODALITY: (b"CS", 8, 2), ROWS: (b"US", 18, 2)}


def test_regular_elements_are_read_in_each_encoding() -> None:
    """PS3.5 section 7.1: explicit, implicit, and big endian."""
    assert walked(CT + FIVE) == (FOUND, 20)
    bare = implicit(MODALITY, b"CT") + implicit(ROWS, b"\x05\x00")
    assert walked(bare, IMPLICIT) == ({MODALITY: (b"", 8, 2), ROWS: (b"", 18, 2)}, 20)
    big = short(MODALITY, "CS", b"CT", order=">") + short(ROWS, "US", b"\x00\x05", order=">")
    assert walked(big, BIG) == (FOUND, 20)
    assert walked(b"skipped!" + CT, start=8) == ({MODALITY: (b"CS", 16, 2)}, 18)


@pytest.mark.parametrize(("before", "position"), [(MODALITY, 0), (ROWS, 10), (ROWS + 1, 20)])
def test_the_walk_stops_before_a_tag(before: int, position: int) -> None:
    """The tag itself is not read."""
    found = dict(list(FOUND.items())[: position // 10])
    assert walked(CT + FIVE, before=before) == (found, position)


def test_the_walk_stops_at_its_end() -> None:
    """Bytes behind it are not looked at."""
    assert walked(CT + FIVE, end=10) == ({MODALITY: (b"CS", 8, 2)}, 10)
    assert walked(CT + bytes(4) + FIVE, end=14) == ({MODALITY: (b"CS", 8, 2)}, 14)


@pytest.mark.parametrize("delimiter", [ITEM_END, SEQUENCE_END, ITEM, item(b"\x10\x00\x20\x00LO\x02\x00ab")])
def test_delimiters_and_items_of_a_data_set_are_skipped(delimiter: bytes) -> None:
    """They belong to a sequence whose length was too small."""
    behind = 10 + len(delimiter)
    assert walked(CT + delimiter + FIVE) == (
        {MODALITY: (b"CS", 8, 2), ROWS: (b"US", behind + 8, 2)}, behind + 10,
    )  # fmt: skip
    assert walked(CT + delimiter + bytes(64)) == ({MODALITY: (b"CS", 8, 2)}, behind + 64)


@pytest.mark.parametrize("delimiter", [ITEM_END, SEQUENCE_END])
def test_a_delimiter_may_end_a_data_set(delimiter: bytes) -> None:
    """Nothing has to follow."""
    assert walked(CT + delimiter) == ({MODALITY: (b"CS", 8, 2)}, 18)


@pytest.mark.parametrize(("delimiter", "used"), [(ITEM_END, 8), (SEQUENCE_END, 0), (ITEM, 0), (OPEN_ITEM, 0)])
def test_an_item_ends_behind_its_delimiter_or_before_another(delimiter: bytes, used: int) -> None:
    """The delimiter of the item is missing in the other cases."""
    assert walked(CT + delimiter + FIVE, depth=1) == ({MODALITY: (b"CS", 8, 2)}, 10 + used)


@pytest.mark.parametrize("pixel_tag", [0x7FE00008, 0x7FE00009, PIXELS])
def test_a_data_set_ends_with_its_pixel_data(pixel_tag: int) -> None:
    """The position is that of their value. An icon in an item has elements behind them."""
    tail = short(0x7FE10010, "LO", b"ab")
    data = CT + long(pixel_tag, "OW", b"abcd") + tail
    assert walked(data) == ({MODALITY: (b"CS", 8, 2), pixel_tag: (b"OW", 22, 4)}, 22)
    assert walked(data, depth=1) == (
        {MODALITY: (b"CS", 8, 2), pixel_tag: (b"OW", 22, 4), 0x7FE10010: (b"LO", 34, 2)}, 36,
    )  # fmt: skip


def test_the_first_of_two_elements_counts_in_an_item() -> None:
    """In a data set two values of a needed element are an error."""
    twice = CT + short(MODALITY, "CS", b"MR")
    assert walked(twice, depth=1) == ({MODALITY: (b"CS", 8, 2)}, 20)
    message = "Modality (0008,0060) at offset 10 is there a second time, with another value."
    assert failure(twice) == (HeaderError, message)


@pytest.mark.parametrize("cut", [1, 2])
def test_an_element_that_is_cut_is_named(cut: int) -> None:
    """The file is truncated, or an item within it has a wrong length."""
    place = "Rows (0028,0010) at offset 10"
    assert failure((CT + FIVE)[:-cut]) == (TruncatedError, f"The file ends within {place}.")
    assert failure(CT + FIVE + CT, end=20 - cut) == (
        HeaderError,
        f"A sequence item is too short: it ends within {place}.",
    )


@pytest.mark.parametrize("left", [1, 7])
def test_a_header_that_is_cut_is_named(left: int) -> None:
    """A header has eight bytes."""
    place = "the header of an element at offset 10"
    assert failure((CT + FIVE)[: 10 + left]) == (TruncatedError, f"The file ends within {place}.")
    assert failure(CT + FIVE, end=10 + left) == (HeaderError, f"A sequence item is too short: it ends within {place}.")


def test_an_element_without_a_value_may_be_the_last() -> None:
    """Eight bytes are a whole header; a VR with a length of four bytes needs twelve."""
    assert walked(CT + header(ROWS, b"US", 0)) == ({MODALITY: (b"CS", 8, 2), ROWS: (b"US", 18, 0)}, 18)
    whole = long(0x00420011, "OB", b"")
    assert walked(whole) == ({0x00420011: (b"OB", 12, 0)}, 12)
    place = "EncapsulatedDocument (0042,0011) at offset 0"
    for size in (8, 11):
        assert failure(whole[:size]) == (TruncatedError, f"The file ends within {place}.")
        assert failure(whole + CT, end=size) == (HeaderError, f"A sequence item is too short: it ends within {place}.")
        opened = whole[:8] + b"\xff" * 4 + CT
        assert failure(opened, end=size) == (HeaderError, f"A sequence item is too short: it ends within {place}.")


def test_a_sequence_that_is_cut_is_named() -> None:
    """A sequence of an item ends with the item instead."""
    data = CT + long(SEQUENCE, "SQ", OPEN_ITEM + short(0x00180010, "LO", b"ab"), length=OPEN)
    place = "the sequence ContrastBolusAgentSequence (0018,0012), value at offset 22"
    assert failure(data) == (TruncatedError, f"The file ends within {place}.")
    assert failure(data + bytes(7)) == (TruncatedError, f"The file ends within {place}.")
    assert failure(data[:22] + b"7 bytes") == (TruncatedError, f"The file ends within {place}.")
    found = {MODALITY: (b"CS", 8, 2), SEQUENCE: (b"SQ", 22, OPEN)}
    assert walked(data + FIVE, end=len(data), depth=1) == (found, len(data))


@pytest.mark.parametrize(
    ("zeros", "found"),
    [(0, {}), (1, {}), (7, {}), (8, {}), (16, {}), (1000, {})],
)
def test_zeros_at_the_end_are_padding(zeros: int, found: dict[int, Element]) -> None:
    """Also where they are all there is, or end with an item in the middle of a file."""
    assert walked(bytes(zeros)) == (found, zeros)
    assert walked(CT + bytes(zeros)) == ({MODALITY: (b"CS", 8, 2)}, 10 + zeros)
    assert walked(CT + bytes(zeros) + FIVE, end=10 + zeros, depth=1) == ({MODALITY: (b"CS", 8, 2)}, 10 + zeros)


@pytest.mark.parametrize("zeros", [8, 24])
def test_zeros_before_an_element_are_empty_elements(zeros: int) -> None:
    """Eight zero bytes are an element (0000,0000) of length zero."""
    found = {MODALITY: (b"CS", 8, 2), 0: (b"", 18, 0), ROWS: (b"US", 18 + zeros, 2)}
    assert walked(CT + bytes(zeros) + FIVE) == (found, 20 + zeros)


def test_the_number_of_elements_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the last one."""
    monkeypatch.setattr(careful_walk, "MAX_ELEMENTS", 3)
    assert walked(CT + FIVE) == (FOUND, 20)
    message = "A data set has too many elements. The last one read is Columns (0028,0011)."
    assert failure(CT + FIVE + short(0x00280011, "US", b"\x05\x00")) == (HeaderError, message)


def nested(levels: int, content: bytes) -> bytes:
    """Return sequences within each other, of undefined length, with this content."""
    opened = (long(SEQUENCE, "SQ", b"", length=OPEN) + OPEN_ITEM) * levels
    return opened + content + (ITEM_END + SEQUENCE_END) * levels


@pytest.mark.parametrize("limit", [1, 2, 32])
def test_the_depth_of_sequences_is_limited(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    """32 levels are allowed; here also fewer."""
    monkeypatch.setattr(careful_walk, "MAX_DEPTH", limit)
    found, position = walked(nested(limit, CT) + FIVE)
    assert (list(found), position) == ([SEQUENCE, ROWS], 36 * limit + 20)
    message = (
        f"Sequences are nested deeper than {limit} levels: ContrastBolusAgentSequence (0018,0012), value at offset "
    )
    assert failure(nested(limit + 1, CT) + FIVE) == (HeaderError, f"{message}{12 + 20 * limit}.")
    loose = OPEN_ITEM + nested(limit - 1, CT) + ITEM_END + SEQUENCE_END  # as deep as in a sequence
    assert list(walked(loose + FIVE)[0]) == [ROWS]
    assert failure(OPEN_ITEM + nested(limit, CT))[1] == f"{message}{20 + 20 * (limit - 1)}."
