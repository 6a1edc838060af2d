"""The number of code-blocks of a JPEG 2000 frame: at most one for 128 values on average (ITU-T T.800, A.6.1, B.7)."""

from collections.abc import Callable

import pytest
from jpeg2000_headers import SOD, TAIL, coc, cod, codestream, sot

from imaging import jpeg2000
from imaging.jpeg2000 import read_size

WIDEST = 0xFF
"""A precinct of 2**15 x 2**15, which limits nothing. Its code-blocks are then as large as the style says."""


def is_accepted(*segments: bytes) -> bool:
    """Return whether a frame of 1,024 x 1,024 pixels with these coding styles is decoded."""
    return read_size(codestream(*segments, sot(0), SOD, TAIL)) is not None


@pytest.mark.parametrize(
    ("wide", "high", "accepted"),
    [(2, 6, True), (2, 5, False), (6, 2, True), (5, 2, False), (3, 5, True), (3, 4, False), (17, 2, True)],
)
@pytest.mark.parametrize("style", [cod, coc])
def test_without_precincts_the_size_of_the_code_blocks_decides(
    style: Callable[..., bytes], wide: int, high: int, accepted: bool
) -> None:
    """256 pixels are accepted, and 128 are not: all resolutions together have a third more blocks."""
    assert is_accepted(style(wide, high)) is accepted


def test_only_four_bits_are_an_exponent() -> None:
    """The others are reserved."""
    small, usual = bytearray(cod(2, 2)), bytearray(cod(6, 6))
    for style in (small, usual):
        style[10] |= 0xF0
        style[11] |= 0xF0
    assert (is_accepted(bytes(small)), is_accepted(bytes(usual))) == (False, True)


@pytest.mark.parametrize(
    ("precinct", "accepted"),
    [(0x34, True), (0x43, True), (0x33, False), (0x70, True), (0x07, True), (0x60, False), (0x06, False)],
)
@pytest.mark.parametrize("style", [cod, coc])
def test_the_precinct_of_the_lowest_resolution(style: Callable[..., bytes], precinct: int, accepted: bool) -> None:
    """It limits both sides of its blocks, the low half-byte the width: 128 values are accepted."""
    assert is_accepted(style(10, 10, bytes([precinct]))) is accepted


@pytest.mark.parametrize(
    ("wide", "high", "accepted"), [(3, 4, True), (4, 3, True), (3, 3, False), (2, 5, True), (2, 4, False)]
)
def test_a_large_precinct_leaves_the_blocks_as_they_are(wide: int, high: int, accepted: bool) -> None:
    """The smaller one of precinct and code-block counts, for each side of its own."""
    assert is_accepted(cod(wide, high, bytes([WIDEST]))) is accepted
    assert is_accepted(cod(wide, 10, bytes([high << 4 | 0xF]))) is accepted
    assert is_accepted(cod(10, high, bytes([0xF0 | wide]))) is accepted


@pytest.mark.parametrize(
    ("precinct", "accepted"), [(0x45, True), (0x54, True), (0x44, False), (0x80, True), (0x08, True), (0x70, False)]
)
def test_the_precincts_of_a_higher_resolution_are_halved(precinct: int, accepted: bool) -> None:
    """They are those of its bands (equation B-17), at least 1 x 1. The lower resolution has no block here."""
    widest = cod(12, 12, bytes([WIDEST, precinct]), levels=1)
    assert is_accepted(widest) is accepted


@pytest.mark.parametrize(
    ("levels", "precincts", "accepted"),
    [
        (1, (0x32, WIDEST), True),
        (1, (0x22, WIDEST), False),
        (2, (0x21, WIDEST, WIDEST), True),
        (2, (0x11, WIDEST, WIDEST), False),
        (2, (WIDEST, 0x43, WIDEST), True),
        (2, (WIDEST, 0x33, WIDEST), False),
        (3, (0x10, WIDEST, WIDEST, WIDEST), True),
        (3, (0x00, WIDEST, WIDEST, WIDEST), False),
        (2, (0x21, 0x43, WIDEST), False),
    ],
)
def test_each_lower_resolution_has_a_quarter_of_the_values(
    levels: int, precincts: tuple[int, ...], accepted: bool
) -> None:
    """So it may have four times smaller blocks, but those of all resolutions are added."""
    assert is_accepted(cod(12, 12, bytes(precincts), levels=levels)) is accepted


def test_precincts_count_only_if_the_style_says_so() -> None:
    """Without the flag, the bytes behind the style are those of the next segment; other flags mean other things."""
    small = bytes([0x11])
    assert is_accepted(cod(6, 6, small, flags=0))
    assert is_accepted(cod(6, 6, small, flags=6))
    assert not is_accepted(cod(6, 6, small, flags=7))
    behind = cod(6, 6, bytes([WIDEST])) + small * 4
    assert read_size(codestream(behind, TAIL)) is not None


def test_the_average_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """8,192 blocks of 128 values and 32 of a lower resolution are a few too many: 127.5 values on average."""
    style = cod(12, 12, bytes([0x67, 0x45]), levels=1)
    assert not is_accepted(style)
    monkeypatch.setattr(jpeg2000, "_LEAST_BLOCK", 127)
    assert is_accepted(style)
