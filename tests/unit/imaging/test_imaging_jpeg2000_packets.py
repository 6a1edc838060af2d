"""Packet headers of JPEG 2000, written bit by bit: how many bytes follow each of them (ITU-T T.800, B.10)."""

import pytest
from packet_bits import ONE_BLOCK, THREE_BLOCKS, TWO_BLOCKS, layout_of, packed, precincts_of

from imaging.jpeg2000_layout import TileLayout
from imaging.jpeg2000_packets import check_packets
from nightread.errors import RejectImage
from nightread.reasons import Reason

FIVE = packed("1 1 1 0 0 101")
"""Not empty, included, no zero bit-planes, one pass, Lblock 3, and a length of five."""
EMPTY = b"\x00"
TERMINATE_ALL, BYPASS, HIGH_THROUGHPUT = 4, 1, 64


def refusal(data: bytes, layout: TileLayout) -> tuple[Reason, str] | None:
    """Return why the packets of a tile are rejected; None if they are whole."""
    try:
        check_packets(data, layout)
    except RejectImage as rejected:
        return rejected.reason, rejected.detail
    return None


TRUNCATED = (Reason.TRUNCATED, "A JPEG 2000 frame ends before its last packet.")
TOO_LONG = (Reason.BAD_PIXELS, "A JPEG 2000 frame holds more bytes than its packets need.")
FOREIGN = (Reason.BAD_PIXELS, "A JPEG 2000 frame has bytes that no packet can hold.")
DAMAGED = (Reason.BAD_PIXELS, "The header of a packet of a JPEG 2000 frame is damaged.")
FILLED = (Reason.BAD_PIXELS, "The last packet of a JPEG 2000 frame was filled with zeros.")


def assert_needs(data: bytes, layout: TileLayout) -> None:
    """Check that these bytes are the packets: not one less, and not two more. One more is padding."""
    assert refusal(data, layout) is None
    assert refusal(data[:-1], layout) == TRUNCATED
    assert refusal(data + b"a", layout) is None
    assert refusal(data + b"aa", layout) == TOO_LONG


def test_a_packet_has_its_header_and_its_code_block() -> None:
    """0xE5 says that five bytes follow."""
    assert FIVE == b"\xe5"
    assert_needs(b"\xe5abcde", layout_of(ONE_BLOCK))


def test_an_empty_packet_is_one_bit() -> None:
    """A byte for each layer, and nothing else."""
    assert_needs(EMPTY, layout_of(ONE_BLOCK))
    assert_needs(EMPTY * 3, layout_of(ONE_BLOCK, layers=3))
    assert_needs(EMPTY, layout_of())
    assert refusal(b"", layout_of(ONE_BLOCK, layers=0)) is None


@pytest.mark.parametrize(
    ("codeword", "bits"),
    [
        ("0", 3),
        ("10", 4),
        ("1100", 4),
        ("1101", 5),
        ("1110", 5),
        ("1111 00000", 5),
        ("1111 00001", 5),
        ("1111 00010", 6),
        ("1111 01001", 6),
        ("1111 01010", 7),
        ("1111 11001", 7),
        ("1111 11010", 8),
        ("1111 11110", 8),
        ("1111 11111 0000000", 8),
        ("1111 11111 0011010", 8),
        ("1111 11111 0011011", 9),
        ("1111 11111 1011010", 9),
        ("1111 11111 1011011", 10),
        ("1111 11111 1111111", 10),
    ],
)
def test_the_number_of_passes_decides_how_many_bits_a_length_has(codeword: str, bits: int) -> None:
    """Table B.4: 1, 2, 3, 4, 5, 6, 7, 8, 15, 16, 31, 32, 36, 37, 63, 64, 127, 128 and 164. Lblock + log2 (B-19)."""
    length = (1 << bits - 1) + 1
    header = packed(f"1 1 1 {codeword} 0 {length:0{bits}b}")
    assert_needs(header + b"a" * length, layout_of(ONE_BLOCK))


@pytest.mark.parametrize(("increase", "bits"), [("0", 3), ("10", 4), ("110", 5), ("111110", 8)])
def test_lblock_grows_by_a_bit_for_each_one(increase: str, bits: int) -> None:
    """It begins with 3, and the next layer goes on with what it was (B.10.7.1)."""
    length = (1 << bits) - 1
    first = packed(f"1 1 1 0 {increase} {length:0{bits}b}") + b"a" * length
    second = packed(f"1 1 0 10 {3:0{bits + 1}b}") + b"bbb"
    assert_needs(first, layout_of(ONE_BLOCK))
    assert_needs(first + second, layout_of(ONE_BLOCK, layers=2))


@pytest.mark.parametrize(("increases", "expected"), [(71, None), (72, DAMAGED)])
def test_lblock_has_a_limit(increases: int, expected: tuple[Reason, str] | None) -> None:
    """No length has 75 bits."""
    header = packed(f"1 1 1 0 {'1' * increases} 0 {5:0{increases + 3}b}")
    assert refusal(header + b"abcde", layout_of(ONE_BLOCK)) == expected


@pytest.mark.parametrize(("zeros", "expected"), [(0, None), (1, None), (74, None), (75, DAMAGED)])
def test_the_number_of_zero_bit_planes_has_a_limit(zeros: int, expected: tuple[Reason, str] | None) -> None:
    """No sub-band has 75 bit-planes."""
    header = packed(f"1 1 {'0' * zeros} 1 0 0 101")
    assert refusal(header + b"abcde", layout_of(ONE_BLOCK)) == expected


def test_behind_0xff_a_header_has_seven_bits() -> None:
    """The header ends with 0xFF, so that one more byte belongs to it (B.10.1)."""
    header = packed("1 1 0000001 0 111110 11111111")
    assert header[2:] == b"\xff\x00"
    assert len(header) == 4
    assert_needs(header + b"a" * 255, layout_of(ONE_BLOCK))
    begins = packed("1 1 1 11111 1111 0000000 0 00000101")
    assert begins[:2] == b"\xff\x78"
    assert_needs(begins + b"abcde", layout_of(ONE_BLOCK))


def test_a_byte_behind_0xff_and_seven_bits_has_eight_again() -> None:
    """37 passes: the length is read from the third byte and the fourth."""
    header = packed("1 1 1 11111 1111 0000000 1110 00000000101")
    assert_needs(header + b"abcde", layout_of(ONE_BLOCK))


@pytest.mark.parametrize("size", [0, 1, 2])
def test_a_header_that_is_cut_is_truncated(size: int) -> None:
    """No bit is taken from behind the end."""
    header = packed("1 1 0000001 0 0 101")
    assert refusal(header[:size], layout_of(ONE_BLOCK)) == TRUNCATED


def test_a_block_that_is_first_included_in_a_later_layer() -> None:
    """The bits say for each layer whether it is this one; what a layer said is not said again (B.10.4)."""
    third = packed("1 1 1 0 0 011") + b"abc"
    assert_needs(packed("1 0") + packed("1 0") + third, layout_of(ONE_BLOCK, layers=3))
    assert_needs(EMPTY + packed("1 01 1 0 0 011") + b"abc", layout_of(ONE_BLOCK, layers=2))
    assert_needs(EMPTY * 2 + packed("1 001 1 0 0 011") + b"abc", layout_of(ONE_BLOCK, layers=3))


def test_a_block_that_was_included_has_one_bit_in_each_later_layer() -> None:
    """Neither inclusion nor zero bit-planes are said again."""
    first = packed("1 1 001 0 0 101") + b"abcde"
    assert_needs(first + packed("1 0"), layout_of(ONE_BLOCK, layers=2))
    later = packed("1 1 0 0 010") + b"ab"
    assert_needs(first + later + packed("1 0") + later, layout_of(ONE_BLOCK, layers=4))


def test_the_zero_bit_planes_of_three_blocks() -> None:
    """They are 1, 3 and 2: the root of the tag tree is 1, its nodes are 1 and 2 (B.10.2)."""
    blocks = "111 0111 0 0 001", "1 001 0 0 010", "11 011 0 0 011"
    assert_needs(packed("1" + "".join(blocks)) + b"abbccc", layout_of(THREE_BLOCKS))


def test_the_inclusion_of_two_blocks() -> None:
    """The second is included in the first layer, and the first one in the second layer."""
    first = packed("1 10 1 11 0 0 010") + b"ab"
    second = packed("1 1 1 0 0 001 0") + b"c"
    assert_needs(first + second, layout_of(TWO_BLOCKS, layers=2))


def test_a_root_above_the_layer_says_it_for_all_blocks() -> None:
    """In the first layer one bit says that no block is included. In the second, the first block is not."""
    second = packed("1 10 1 0001 1 0 0 011") + b"abc"
    third = packed("1 1 1 0 0 010 0") + b"ab"
    assert_needs(packed("1 0") + second + third, layout_of(TWO_BLOCKS, layers=3))


def test_a_block_that_is_left_out_does_not_end_the_packet() -> None:
    """Only the last of three blocks is included, and then only the first two."""
    first = packed("1 1 0 1 1 0001 1 1 0 0 100") + b"abcd"
    second = packed("1 1 1 1 1 0 0 001  1 1 0 0 010  0") + b"abb"
    assert_needs(first + second, layout_of(THREE_BLOCKS, layers=2))


def test_each_band_has_tag_trees_of_its_own() -> None:
    """What is known of the first band says nothing of the second."""
    header = packed("1 1 01 0 0 001 1 001 0 0 010")
    assert_needs(header + b"abb", layout_of(ONE_BLOCK, ONE_BLOCK))
    none_in_the_first = packed("1 0 1 1 0 0 010") + b"bb"
    assert_needs(none_in_the_first, layout_of(ONE_BLOCK, ONE_BLOCK))


def test_each_precinct_has_its_own_state() -> None:
    """Both say the inclusion and the zero bit-planes of their blocks."""
    assert_needs(FIVE + b"abcde" + FIVE + b"fghij", precincts_of(0, 0))


@pytest.mark.parametrize(
    "marked", [b"\xe5\xff\x92abcde", b"\xff\x91\0\4\0\0\xe5abcde", b"\xff\x91\0\4\0\0\xe5\xff\x92abcde"]
)
def test_markers_of_packets_are_skipped(marked: bytes) -> None:
    """SOP is before the header, and EPH behind it (A.8)."""
    assert_needs(marked, layout_of(ONE_BLOCK))
    first = b"\xff\x91\0\4\0\0\x00\xff\x92"
    assert_needs(first + marked, precincts_of(0, 0))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"ab\xff\x92e", None),
        (b"ab\xff\x93e", FOREIGN),
        (b"ab\xff\xffe", FOREIGN),
        (b"\xff\xd9cde", FOREIGN),
        (b"abc\xff\x93", FOREIGN),
        (b"\xff\x00\xff\x93e", FOREIGN),
        (b"\xff\x00cde", None),
        (b"abcd\xff", None),
        (b"abcd\x93", None),
    ],
)
def test_behind_0xff_no_byte_is_above_0x92(body: bytes, expected: tuple[Reason, str] | None) -> None:
    """Neither coded data nor headers hold it (B.10.1, C.2.1)."""
    assert refusal(FIVE + body, layout_of(ONE_BLOCK)) == expected


def test_the_first_byte_may_be_0xff_as_well() -> None:
    """The next one tells."""
    assert refusal(b"\xff\x93" + bytes(20), layout_of(ONE_BLOCK)) == FOREIGN


ZEROS, RAW = FIVE + b"a\0\0\0\0", FIVE + b"b\0\0\0\0"


@pytest.mark.parametrize(
    ("data", "modes", "expected"),
    [
        (ZEROS, (0,), FILLED),
        (ZEROS + b"\0", (0,), FILLED),
        (FIVE + b"\0\0\0\0a", (0,), None),
        (FIVE + b"ab\0\0\0", (0,), None),
        (FIVE + b"ab\0\0\0" + b"\0", (0,), None),
        (ZEROS, (BYPASS,), None),
        (ZEROS, (HIGH_THROUGHPUT,), None),
        (ZEROS, (BYPASS | TERMINATE_ALL | 8,), None),
        (ZEROS, (TERMINATE_ALL,), FILLED),
        (ZEROS, (255 - BYPASS - HIGH_THROUGHPUT,), FILLED),
        (ZEROS + EMPTY, (0, 0), FILLED),
        (ZEROS + EMPTY, (0, BYPASS), FILLED),
        (ZEROS + EMPTY, (BYPASS, 0), None),
        (ZEROS + RAW, (0, BYPASS), None),
        (ZEROS + RAW, (BYPASS, 0), FILLED),
        (ZEROS + FIVE + b"fghij", (0, 0), None),
        (FIVE + b"ab\0\0\0" + EMPTY, (0, 0), None),
        (EMPTY * 5, (0,) * 5, None),
    ],
)
def test_the_last_code_block_does_not_end_with_four_zeros(
    data: bytes, modes: tuple[int, ...], expected: tuple[Reason, str] | None
) -> None:
    """The arithmetic coder does not write them (C.2.9); raw bits and those of HTJ2K may be zeros."""
    assert refusal(data, precincts_of(*modes)) == expected
