"""Which passes of a JPEG 2000 code-block have a length together: its codeword segments (ITU-T T.800, B.10.7; T.814)."""

import pytest
from packet_bits import ONE_BLOCK, layout_of, packed
from test_imaging_jpeg2000_packets import BYPASS, HIGH_THROUGHPUT, TERMINATE_ALL, assert_needs


@pytest.mark.parametrize(
    ("modes", "lengths"),
    [
        (0, [("10000", 16)]),
        (TERMINATE_ALL, [("001", 1), ("010", 2), ("011", 3), ("100", 4)]),
        (BYPASS, [("10000", 16)]),
        (BYPASS | TERMINATE_ALL, [("001", 1), ("010", 2), ("011", 3), ("100", 4)]),
        (HIGH_THROUGHPUT, [("001", 1), ("1001", 9)]),
        (HIGH_THROUGHPUT | TERMINATE_ALL, [("001", 1), ("1001", 9)]),
        (8, [("10000", 16)]),
    ],
)
def test_four_passes_have_a_length_for_each_codeword_segment(modes: int, lengths: list[tuple[str, int]]) -> None:
    """One; one for each pass; one for the cleanup pass and one for the other three (B.10.7, T.814)."""
    header = packed(f"1 1 1 1101 0 {''.join(bits for bits, _ in lengths)}")
    assert_needs(header + b"a" * sum(size for _, size in lengths), layout_of(ONE_BLOCK, modes=modes))


@pytest.mark.parametrize(
    ("codeword", "lengths"),
    [
        ("1111 00100", ["100001"]),
        ("1111 00101", ["100001", "011"]),
        ("1111 00110", ["100001", "1001"]),
        ("1111 00111", ["100001", "1001", "101"]),
        ("1111 01000", ["100001", "1001", "101", "110"]),
        ("1111 01001", ["100001", "1001", "101", "1010"]),
        ("1111 01011", ["100001", "1001", "101", "1010", "111", "001"]),
    ],
)
def test_with_bypass_the_first_ten_passes_are_one_segment(codeword: str, lengths: list[str]) -> None:
    """Then two raw ones and a cleanup pass take turns (table D.9): 10, 11, 12, 13, 14, 15 and 17 passes."""
    header = packed(f"1 1 1 {codeword} 0 {''.join(lengths)}")
    body = b"a" * sum(int(bits, 2) for bits in lengths)
    assert_needs(header + body, layout_of(ONE_BLOCK, modes=BYPASS))


def test_the_passes_of_the_layers_before_count() -> None:
    """Ten passes and one; then one, which ends the raw segment, and a cleanup pass."""
    first = packed("1 1 1 1111 00101 0 000001 010") + b"abb"
    second = packed("1 1 10 0 011 100") + b"cccdddd"
    assert_needs(first + second, layout_of(ONE_BLOCK, layers=2, modes=BYPASS))


def test_a_segment_may_end_with_a_layer() -> None:
    """Then the next layer begins with the next segment: after ten passes with bypass, or after any pass."""
    first = packed("1 1 1 1111 00100 0 000001") + b"a"
    second = packed("1 1 1100 0 0010 011") + b"bbccc"
    assert_needs(first + second, layout_of(ONE_BLOCK, layers=2, modes=BYPASS))
    first, second = packed("1 1 1 10 0 001 010") + b"abb", packed("1 1 10 0 011 001") + b"cccd"
    assert_needs(first + second, layout_of(ONE_BLOCK, layers=2, modes=TERMINATE_ALL))


def test_the_passes_of_a_high_throughput_block_in_two_layers() -> None:
    """The cleanup pass in the first, and both others together in the second."""
    first, second = packed("1 1 1 0 0 101") + b"abcde", packed("1 1 10 0 0011") + b"fgh"
    assert_needs(first + second, layout_of(ONE_BLOCK, layers=2, modes=HIGH_THROUGHPUT))
