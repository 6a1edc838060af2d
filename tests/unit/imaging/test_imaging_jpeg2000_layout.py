"""Precincts, code-blocks and the order of packets of a JPEG 2000 tile, by hand from ITU-T T.800, B.5 to B.12."""

from collections.abc import Iterator

import pytest

from imaging import jpeg2000_layout
from imaging.jpeg2000_layout import Area, Style, packet_count, tile_layout

ONE = ((0,),)
"""Path of the only code-block of a band."""
THREE_ACROSS = ((5, 3, 0), (5, 3, 1), (5, 4, 2))
FOUR_ACROSS = ((6, 4, 0), (6, 4, 1), (6, 5, 2), (6, 5, 3))
THREE_BY_TWO = ((8, 6, 0), (8, 6, 1), (8, 7, 2), (8, 6, 3), (8, 6, 4), (8, 7, 5))


def style(levels: int = 0, *precincts: int, wide: int = 6, high: int = 6, modes: int = 0) -> Style:
    """Return a coding style; a precinct 0x43 is 2**3 wide and 2**4 high (table A.21)."""
    return Style(levels, wide, high, modes, bytes(precincts))


def count(area: tuple[int, int, int, int], *styles: Style, layers: int = 1) -> int:
    """Return the number of packets of a tile, after a check that so many are made."""
    found = packet_count(Area(*area), styles, layers)
    assert len(tile_layout(Area(*area), styles, layers, 0).packets) == found
    return found


def bands(area: tuple[int, int, int, int], of: Style) -> list[tuple[tuple[tuple[int, ...], ...], ...]]:
    """Return the code-blocks of each precinct of the only component."""
    return [precinct.paths for precinct in tile_layout(Area(*area), (of,), 1, 0).precincts]


@pytest.mark.parametrize(
    ("area", "packets"),
    [
        ((0, 0, 20, 20), 6),
        ((0, 0, 24, 16), 3),
        ((0, 0, 25, 16), 4),
        ((0, 0, 24, 17), 6),
        ((5, 17, 20, 33), 6),
        ((7, 15, 20, 33), 9),
        ((8, 16, 20, 33), 4),
        ((8, 32, 20, 33), 2),
        ((0, 0, 1, 1), 1),
    ],
)
def test_a_precinct_for_each_place_that_the_tile_touches(area: tuple[int, int, int, int], packets: int) -> None:
    """Precincts of 8 x 16 begin at multiples of their sides (equation B-16)."""
    assert count(area, style(0, 0x43)) == packets


@pytest.mark.parametrize(
    ("area", "packets"),
    [
        ((0, 0, 32768, 32768), 1),
        ((0, 0, 32769, 1), 2),
        ((0, 0, 1, 32769), 2),
        ((32767, 32767, 32769, 32769), 4),
    ],
)
def test_without_precincts_they_have_the_largest_size(area: tuple[int, int, int, int], packets: int) -> None:
    """2**15 x 2**15 (table A.21)."""
    assert packet_count(Area(*area), (style(),), 1) == packets


def test_a_packet_for_each_layer_of_each_resolution_of_each_component() -> None:
    """Three resolutions and two."""
    assert count((0, 0, 64, 64), style(2)) == 3
    assert count((0, 0, 64, 64), style(2), style(1)) == 5
    assert count((0, 0, 64, 64), style(2), style(1), layers=5) == 25


@pytest.mark.parametrize(
    ("area", "packets"),
    [
        ((1, 1, 2, 2), 1),
        ((1, 0, 2, 2), 1),
        ((0, 1, 2, 2), 1),
        ((0, 0, 2, 2), 2),
        ((1, 1, 3, 3), 2),
        ((2, 2, 3, 3), 2),
    ],
)
def test_a_resolution_without_samples_has_no_packets(area: tuple[int, int, int, int], packets: int) -> None:
    """The lower resolution has every second sample: those at even positions (equation B-14)."""
    assert count(area, style(1)) == packets


def test_each_resolution_has_precincts_of_its_own() -> None:
    """Of 10 x 15 samples: three precincts of 4 wide, two of 8 high; of 20 x 30: two of 16 wide, four of 8 high."""
    made = tile_layout(Area(3, 5, 20, 30), (style(1, 0x32, 0x34, modes=9),), 1, 0).precincts
    assert [each.resolution for each in made] == [0] * 6 + [1] * 8
    assert [(each.top, each.left) for each in made[:6]] == [(5, 3), (5, 8), (5, 16), (16, 3), (16, 8), (16, 16)]
    assert [(each.top, each.left) for each in made[6:]] == [
        *((5, 3), (5, 16), (8, 3), (8, 16), (16, 3), (16, 16), (24, 3), (24, 16)),
    ]
    assert {each.modes for each in made} == {9}


def test_the_precincts_of_a_low_resolution_are_far_apart() -> None:
    """Of the third resolution from above: 4 x 2 samples stand for 16 x 8."""
    made = tile_layout(Area(0, 0, 33, 17), (style(2, 0x12, 0xFF, 0xFF),), 1, 0).precincts
    lowest = [(each.top, each.left) for each in made if each.resolution == 0]
    assert lowest == [(0, 0), (0, 16), (0, 32), (8, 0), (8, 16), (8, 32), (16, 0), (16, 16), (16, 32)]


@pytest.mark.parametrize(
    ("area", "paths"),
    [
        ((0, 0, 4, 8), ONE),
        ((0, 0, 10, 16), THREE_BY_TWO),
        ((3, 7, 10, 16), THREE_BY_TWO),
        ((4, 8, 10, 16), ((2, 0), (2, 1))),
        ((0, 0, 12, 8), THREE_ACROSS),
        ((0, 0, 13, 8), FOUR_ACROSS),
        ((0, 0, 4, 16), ((2, 0), (2, 1))),
        ((0, 0, 4, 17), ((5, 3, 0), (5, 3, 1), (5, 4, 2))),
    ],
)
def test_the_code_blocks_of_the_lowest_resolution(
    area: tuple[int, int, int, int], paths: tuple[tuple[int, ...], ...]
) -> None:
    """Blocks of 4 x 8 begin at multiples of their sides, too."""
    assert bands(area, style(wide=2, high=3)) == [(paths,)]


def test_a_tag_tree_has_a_node_for_each_two_by_two() -> None:
    """The tree of figure B.12: 6 x 3 leaves, 3 x 2 nodes, 2 x 1 nodes, and a root."""
    ((paths,),) = bands((0, 0, 24, 12), style(wide=2, high=2))
    assert len(paths) == 18
    assert paths[0] == (26, 24, 18, 0)
    assert paths[5] == (26, 25, 20, 5)
    assert paths[7] == (26, 24, 18, 7)
    assert paths[9] == (26, 24, 19, 9)
    assert paths[12] == (26, 24, 21, 12)
    assert paths[16] == (26, 25, 23, 16)
    assert paths[17] == (26, 25, 23, 17)


def test_the_bands_of_a_higher_resolution() -> None:
    """Of 25 x 9 samples: high across has 12 x 5, high down 13 x 4, and high in both 12 x 4 (equation B-15)."""
    lowest, higher = bands((0, 0, 25, 9), style(1, wide=2, high=2))
    assert [len(paths) for paths in lowest] == [8]
    assert higher == (THREE_BY_TWO, FOUR_ACROSS, THREE_ACROSS)


@pytest.mark.parametrize(
    ("width", "blocks"),
    [(16, [1, 1, 1]), (17, [1, 2, 1]), (18, [1, 2, 1]), (19, [2, 2, 2]), (20, [2, 2, 2])],
)
def test_high_pass_bands_of_a_low_resolution_begin_half_a_step_later(width: int, blocks: list[int]) -> None:
    """A sample for each four from the third one on: 18 samples have four, and 19 have five."""
    middle = bands((0, 0, width, 8), style(2, wide=2, high=2))[1]
    assert [len(paths) for paths in middle] == blocks
    middle = bands((0, 0, 8, width), style(2, wide=2, high=2))[1]
    assert [len(paths) for paths in middle] == [blocks[1], blocks[0], blocks[2]]


def test_a_precinct_has_its_share_of_each_band() -> None:
    """Of 9 x 9 samples and precincts of 8 x 8, the band that is high across ends with the first precinct."""
    found = bands((0, 0, 9, 9), style(1, 0xFF, 0x33))
    assert [len(paths) for paths in found] == [1, 3, 1, 1, 0]
    assert bands((0, 0, 1, 1), style(1)) == [(ONE,), ()]


def test_a_band_without_samples_has_no_code_blocks() -> None:
    """One column at 5: only the bands that are high across have it, and nothing is left for the lowest resolution."""
    assert bands((5, 0, 6, 8), style(1, wide=2, high=2)) == [(ONE, ONE)]
    assert bands((0, 5, 8, 6), style(1, wide=2, high=2)) == [(ONE, ONE)]


@pytest.mark.parametrize(
    ("precinct", "wide", "high", "blocks"),
    [(0x33, 6, 6, 1), (0x44, 2, 6, 2), (0x44, 6, 2, 2), (0x44, 2, 2, 4), (0x33, 2, 2, 1), (0x43, 2, 2, 2)],
)
def test_a_precinct_limits_its_code_blocks(precinct: int, wide: int, high: int, blocks: int) -> None:
    """Half its sides in the bands of a higher resolution (equations B-17 and B-18)."""
    found = bands((0, 0, 32, 32), style(1, 0xFF, precinct, wide=wide, high=high))[1:]
    assert {tuple(map(len, paths)) for paths in found} == {(blocks,) * 3}
    assert len(found) == {0x33: 16, 0x44: 4, 0x43: 8}[precinct]


def test_in_the_lowest_resolution_a_precinct_is_not_halved() -> None:
    """8 x 4 samples in blocks of 4 x 4."""
    found = bands((0, 0, 16, 8), style(0, 0x23, wide=2, high=4))
    assert [len(paths) for (paths,) in found] == [2] * 4


def packets(progression: int, area: tuple[int, int, int, int], *styles: Style, layers: int) -> Iterator[str]:
    """Yield layer, resolution, component and position of each packet."""
    found = tile_layout(Area(*area), styles, layers, progression)
    for index, layer in found.packets:
        precinct = found.precincts[index]
        yield f"{layer}{precinct.resolution}{precinct.component}{precinct.left // 8 + 2 * (precinct.top // 8)}"


@pytest.mark.parametrize(
    ("progression", "expected"),
    [
        (0, "0000 0010 0100 0101 0110 0111 1000 1010 1100 1101 1110 1111"),
        (1, "0000 0010 1000 1010 0100 0101 0110 0111 1100 1101 1110 1111"),
        (2, "0000 1000 0010 1010 0100 1100 0110 1110 0101 1101 0111 1111"),
        (3, "0000 1000 0100 1100 0010 1010 0110 1110 0101 1101 0111 1111"),
        (4, "0000 1000 0100 1100 0101 1101 0010 1010 0110 1110 0111 1111"),
    ],
    ids=["LRCP", "RLCP", "RPCL", "PCRL", "CPRL"],
)
def test_the_progression_orders(progression: int, expected: str) -> None:
    """Table A.16. Two components of 16 x 8, whose higher resolution has two precincts beside each other."""
    of = style(1, 0xFF, 0x33)
    assert " ".join(packets(progression, (0, 0, 16, 8), of, of, layers=2)) == expected


@pytest.mark.parametrize("progression", range(5))
def test_positions_go_from_left_to_right_and_then_down(progression: int) -> None:
    """Four precincts of one resolution."""
    of = style(0, 0x33)
    assert [each[3] for each in packets(progression, (0, 0, 16, 16), of, layers=1)] == ["0", "1", "2", "3"]


def test_positions_of_all_components_are_in_one_order() -> None:
    """One component has four precincts, and the other two, of which one is above the other."""
    of = style(0, 0x33), style(0, 0x34)
    expected = {2: "0000 0010 0001 0002 0012 0003", 3: "0000 0010 0001 0002 0012 0003"}
    for progression, order in expected.items():
        assert " ".join(packets(progression, (0, 0, 16, 16), *of, layers=1)) == order
    assert " ".join(packets(4, (0, 0, 16, 16), *of, layers=1)) == "0000 0001 0002 0003 0010 0012"


@pytest.mark.parametrize(("layers", "kept"), [(3, True), (4, True), (5, False)])
def test_only_small_layouts_are_kept(monkeypatch: pytest.MonkeyPatch, layers: int, kept: bool) -> None:
    """Those of up to four packets here: a large one would hold memory."""
    monkeypatch.setattr(jpeg2000_layout, "_MOST_KEPT", 4)
    first, second = (tile_layout(Area(0, 0, 77, 7), (style(),), layers, 0) for _ in range(2))
    assert (first is second) is kept
    assert first == second
