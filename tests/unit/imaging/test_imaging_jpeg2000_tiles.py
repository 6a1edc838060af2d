"""Tile-parts, coding styles and tiles of a JPEG 2000 codestream, segment by segment (ITU-T T.800, annex A and B.3)."""

import struct
from typing import NamedTuple

import pytest
from jpeg2000_headers import SOD, coc, cod, codestream, comment, siz

from imaging import jpeg2000_tiles
from imaging.jpeg2000_layout import Area, Style, TileLayout
from imaging.jpeg2000_tiles import check_complete
from nightread.errors import RejectImage
from nightread.reasons import Reason

EOC = b"\xff\xd9"
PACKET = b"\xe5abcde"
"""One code-block, one pass, five bytes."""
SMALL = siz(4, 4)
PLAIN = Style(levels=0, wide=6, high=6, modes=0, precincts=b"")
NO_TILE = (Reason.TRUNCATED, "A JPEG 2000 frame ends before its last tile.")
IN_HEADER = (Reason.TRUNCATED, "A JPEG 2000 frame ends within a header.")
IN_PART = (Reason.TRUNCATED, "A JPEG 2000 frame ends within a tile-part.")
IN_PACKET = (Reason.TRUNCATED, "A JPEG 2000 frame ends before its last packet.")
TOO_LONG = (Reason.BAD_PIXELS, "A JPEG 2000 frame holds more bytes than its packets need.")
DAMAGED = (Reason.BAD_PIXELS, "The coding style of a JPEG 2000 frame is damaged.")
ORDER = (Reason.BAD_PIXELS, "A JPEG 2000 frame has too many packets, or an unknown progression order.")


def style(parameters: bytes, *, flags: int = 0, progression: int = 0, layers: int = 1) -> bytes:
    """Return a COD segment with these parameters of its components (A.6.1)."""
    content = struct.pack(">BBHB", flags, progression, layers, 0) + parameters
    return struct.pack(">HH", 0xFF52, 2 + len(content)) + content


def part(data: bytes, *segments: bytes, tile: int = 0, length: int | None = None) -> bytes:
    """Return a tile-part (A.4.2); `length` replaces its true length."""
    rest = b"".join(segments) + SOD + data
    return struct.pack(">HHHIBB", 0xFF90, 10, tile, 12 + len(rest) if length is None else length, 0, 1) + rest


def refusal(stream: bytes) -> tuple[Reason, str] | None:
    """Return why a codestream is rejected; None if it is complete."""
    try:
        check_complete(stream)
    except RejectImage as rejected:
        return rejected.reason, rejected.detail
    return None


class Tile(NamedTuple):
    """What was found out about a tile, and its packets."""

    area: tuple[int, int, int, int]
    styles: tuple[Style, ...]
    layers: int
    progression: int
    data: bytes


def tiles_of(monkeypatch: pytest.MonkeyPatch, stream: bytes) -> list[Tile]:
    """Return the tiles of a codestream, whose packets are not looked at."""
    found: list[Tile] = []

    def take_layout(area: Area, styles: tuple[Style, ...], layers: int, progression: int) -> TileLayout:
        found.append(Tile(area, styles, layers, progression, b""))
        return TileLayout((), ())

    def take_data(data: bytes, _layout: TileLayout) -> None:
        found[-1] = found[-1]._replace(data=data)

    monkeypatch.setattr(jpeg2000_tiles, "tile_layout", take_layout)
    monkeypatch.setattr(jpeg2000_tiles, "check_packets", take_data)
    assert refusal(stream) is None
    return found


def test_a_codestream_of_one_tile() -> None:
    """All packets are needed, and nothing else may be there but one byte of padding."""
    head = codestream(cod(), size=SMALL)
    assert refusal(head + part(PACKET) + EOC) is None
    assert refusal(head + part(PACKET)) is None
    assert refusal(head + part(PACKET[:-1]) + EOC) == IN_PACKET
    assert refusal(head + part(PACKET + b"a") + EOC) is None
    assert refusal(head + part(PACKET + b"aa") + EOC) == TOO_LONG
    assert refusal(head + part(PACKET) + EOC + bytes(40)) is None


def test_a_tile_part_without_length_reaches_to_the_end_marker() -> None:
    """Or to the end, if there is none (A.4.2)."""
    head = codestream(cod(), size=SMALL)
    assert refusal(head + part(PACKET, length=0) + EOC) is None
    assert refusal(head + part(PACKET, length=0) + EOC + bytes(40)) is None
    assert refusal(head + part(PACKET, length=0)) is None
    assert refusal(head + part(PACKET[:-1], length=0)) == IN_PACKET
    assert refusal(head + part(PACKET + b"aa", length=0) + EOC) == TOO_LONG


def test_the_length_of_a_tile_part_must_be_there() -> None:
    """Some writers count the end marker."""
    head = codestream(cod(), size=SMALL)
    whole = len(part(PACKET))
    assert refusal(head + part(PACKET, length=whole + 1)) == IN_PART
    assert refusal(head + part(PACKET, length=whole + 2) + EOC) is None
    assert refusal(head + part(PACKET, length=whole + 3) + EOC) == IN_PART
    assert refusal(head + part(PACKET + b"aa", length=whole)) is None
    assert refusal(head + part(PACKET, length=whole - 1)) == IN_PACKET


def test_a_header_that_is_cut_is_truncated() -> None:
    """Of the codestream, and of a tile-part."""
    head = codestream(cod(), size=SMALL)
    assert refusal(head) == IN_HEADER
    assert refusal(head + b"\xff") == IN_HEADER
    assert refusal(head + b"\xff\x90") == NO_TILE
    assert refusal(head + part(b"")[:11]) == NO_TILE
    assert refusal(head + part(b"", length=12)[:12]) == IN_HEADER
    assert refusal(head + part(b"", length=13)[:13]) == IN_HEADER
    assert refusal(head + part(PACKET, length=12)) == IN_HEADER
    assert refusal(head + part(PACKET, length=13)) == IN_HEADER
    assert refusal(head + part(b"")) == IN_PACKET


def test_tile_parts_follow_each_other() -> None:
    """A packet may be in two of them; one may be empty. What does not begin like one ends them."""
    head = codestream(cod(), size=SMALL)
    assert refusal(head + part(PACKET[:3]) + part(PACKET[3:]) + EOC) is None
    assert refusal(head + part(b"") + part(PACKET) + EOC) is None
    assert refusal(head + part(PACKET[:3]) + b"\xff\x91" + part(PACKET[3:])[2:] + EOC) == IN_PACKET
    assert refusal(head + part(PACKET[3:]) + part(PACKET[:3]) + EOC) is not None


def test_every_tile_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their order does not matter, and their parts may take turns."""
    head = codestream(cod(), size=siz(8, 4, tile=(4, 4, 0, 0)))
    assert refusal(head + part(PACKET) + EOC) == NO_TILE
    assert refusal(head + part(PACKET, tile=1) + EOC) == NO_TILE
    assert refusal(head + part(PACKET) + part(PACKET, tile=1) + EOC) is None
    assert refusal(head + part(PACKET) + part(PACKET[:-1], tile=1) + EOC) == IN_PACKET
    mixed = part(b"c", tile=1) + part(b"a") + part(b"d", tile=1) + part(b"b")
    assert [tile.data for tile in tiles_of(monkeypatch, head + mixed + EOC)] == [b"ab", b"cd"]


def test_the_areas_of_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """They begin at an offset of their own, and end with the image (B.3): three across, two down."""
    head = codestream(cod(), size=siz(20, 14, left=3, top=2, tile=(8, 7, 1, 1)))
    found = tiles_of(monkeypatch, head + b"".join(part(b"", tile=index) for index in range(6)))
    assert [tile.area for tile in found] == [
        *((3, 2, 9, 8), (9, 2, 17, 8), (17, 2, 20, 8)),
        *((3, 8, 9, 14), (9, 8, 17, 14), (17, 8, 20, 14)),
    ]


@pytest.mark.parametrize(("right", "bottom", "tiles"), [(8, 6, 1), (9, 6, 2), (8, 7, 2), (9, 7, 4), (16, 12, 4)])
def test_the_number_of_tiles(monkeypatch: pytest.MonkeyPatch, right: int, bottom: int, tiles: int) -> None:
    """Of 8 x 6 pixels."""
    head = codestream(cod(), size=siz(right, bottom, tile=(8, 6, 0, 0)))
    parts = b"".join(part(b"", tile=index) for index in range(4))
    assert len(tiles_of(monkeypatch, head + parts)) == tiles


def test_a_coding_style(monkeypatch: pytest.MonkeyPatch) -> None:
    """Levels, size of a code-block less 2, its modes, and the precincts if the first flag says so (table A.15)."""
    parameters = bytes((2, 0x13, 0x24, 9, 0)) + b"\x11\x22\x33"
    with_precincts = Style(levels=2, wide=5, high=6, modes=9, precincts=b"\x11\x22\x33")
    for flags, expected in ((1, with_precincts), (7, with_precincts), (6, with_precincts._replace(precincts=b""))):
        segment = style(parameters + b"\x44", flags=flags, progression=3, layers=258)
        (tile,) = tiles_of(monkeypatch, codestream(segment, size=SMALL) + part(b"xyz"))
        assert tile == Tile((0, 0, 4, 4), (expected,), 258, 3, b"xyz")


@pytest.mark.parametrize(
    ("parameters", "flags", "expected"),
    [
        (bytes((32, 4, 4, 0, 0)), 0, None),
        (bytes((33, 4, 4, 0, 0)), 0, DAMAGED),
        (bytes((0, 4, 4, 0)), 0, DAMAGED),
        (bytes((0, 4, 4, 0, 0)), 1, DAMAGED),
        (bytes((0, 4, 4, 0, 0, 0x11)), 1, None),
        (bytes((1, 4, 4, 0, 0, 0xFF)), 1, DAMAGED),
        (bytes((1, 4, 4, 0, 0, 0xFF, 0xFF)), 1, None),
        (bytes((1, 4, 4, 0, 0, 0xFF)), 2, None),
    ],
)
def test_a_damaged_coding_style(
    monkeypatch: pytest.MonkeyPatch, parameters: bytes, flags: int, expected: tuple[Reason, str] | None
) -> None:
    """At most 32 levels, and a precinct for each resolution."""
    stream = codestream(style(parameters, flags=flags), size=SMALL) + part(b"")
    monkeypatch.setattr(jpeg2000_tiles, "check_packets", lambda _data, _layout: None)
    assert refusal(stream) == expected


def test_a_codestream_without_coding_style_is_rejected() -> None:
    """A style of a single component is not enough."""
    expected = (Reason.BAD_PIXELS, "A JPEG 2000 frame has no coding style.")
    assert refusal(codestream(size=SMALL) + part(PACKET)) == expected
    assert refusal(codestream(coc(), size=SMALL) + part(PACKET)) == expected
    assert refusal(codestream(comment(b"a"), cod(), comment(b"b"), size=SMALL) + part(PACKET)) is None


def coding(levels: int, component: int, wide: int = 6) -> bytes:
    """Return a COC segment (A.6.2)."""
    return struct.pack(">HHBB", 0xFF53, 9, component, 0) + bytes((levels, wide - 2, 4, 0, 0))


THREE = siz(4, 4, sampling=((1, 1),) * 3)


@pytest.mark.parametrize(
    ("main", "in_tile", "levels"),
    [
        ((cod(),), (), (0, 0, 0)),
        ((cod(), coding(2, 1)), (), (0, 2, 0)),
        ((coding(2, 1), cod()), (), (0, 2, 0)),
        ((cod(), coding(2, 1), coding(3, 2)), (), (0, 2, 3)),
        ((cod(), coding(2, 1)), (coding(3, 2),), (0, 2, 3)),
        ((cod(), coding(2, 1)), (coding(3, 1),), (0, 3, 0)),
        ((cod(), coding(2, 1)), (cod(levels=4),), (4, 4, 4)),
        ((cod(), coding(2, 1)), (coding(3, 2), cod(levels=4)), (4, 4, 3)),
        ((cod(), coding(2, 0)), (), (2, 0, 0)),
    ],
)
def test_which_coding_style_applies(
    monkeypatch: pytest.MonkeyPatch, main: tuple[bytes, ...], in_tile: tuple[bytes, ...], levels: tuple[int, ...]
) -> None:
    """COC of a tile before COD of a tile before COC of the main header before its COD (A.6.1)."""
    (tile,) = tiles_of(monkeypatch, codestream(*main, size=THREE) + part(b"", *in_tile))
    assert tuple(each.levels for each in tile.styles) == levels


def test_a_coding_style_of_a_component_may_have_precincts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own flag says so."""
    stream = codestream(cod(), coc(4, 5, b"\x77\x88", levels=1), size=SMALL) + part(b"")
    (tile,) = tiles_of(monkeypatch, stream)
    assert tile.styles == (Style(levels=1, wide=4, high=5, modes=0, precincts=b"\x77\x88"),)


def test_a_coding_style_of_a_tile_stays_in_its_later_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """It changes no other tile."""
    head = codestream(cod(), size=siz(8, 4, tile=(4, 4, 0, 0)))
    parts = part(b"a", style(bytes((0, 4, 4, 0, 0)), layers=2)), part(b"b"), part(b"c", tile=1)
    first, second = tiles_of(monkeypatch, head + b"".join(parts))
    assert (first.layers, first.data) == (2, b"ab")
    assert (second.layers, second.data) == (1, b"c")


@pytest.mark.parametrize(("components", "index"), [(256, b"\xff"), (257, b"\x00\xff"), (258, b"\x01\x01")])
def test_from_257_components_on_their_indices_have_two_bytes(
    monkeypatch: pytest.MonkeyPatch, components: int, index: bytes
) -> None:
    """COC has one byte for up to 256 (A.6.2)."""
    single = struct.pack(">HH", 0xFF53, 8 + len(index)) + index + bytes((0, 3, 4, 4, 0, 0))
    head = codestream(cod(), single, size=siz(1, 1, sampling=((1, 1),) * components))
    (tile,) = tiles_of(monkeypatch, head + part(b""))
    expected = [PLAIN] * components
    expected[int.from_bytes(index, "big")] = PLAIN._replace(levels=3)
    assert list(tile.styles) == expected


@pytest.mark.parametrize("marker", [0xFF5F, 0xFF60, 0xFF61])
def test_a_codestream_with_unusual_segments_is_not_checked(marker: int) -> None:
    """POC, PPM and PPT change where packets are; with any other segment the packets are checked."""
    unusual, usual = (struct.pack(">HHB", each, 3, 0) for each in (marker, 0xFF55))
    head = codestream(cod(), size=SMALL)
    assert refusal(codestream(cod(), unusual, size=SMALL) + part(b"")) is None
    assert refusal(head + part(b"", unusual)) is None
    assert refusal(head + part(b"", usual, unusual)) is None
    assert refusal(codestream(cod(), usual, size=SMALL) + part(b"")) == IN_PACKET
    assert refusal(head + part(b"", usual)) == IN_PACKET


def test_the_number_of_packets_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds for all tiles together, here six."""
    monkeypatch.setattr(jpeg2000_tiles, "_MOST_PACKETS", 6)
    for layers, expected in ((3, None), (4, ORDER)):
        head = codestream(style(bytes((0, 4, 4, 0, 0)), layers=layers), size=siz(8, 4, tile=(4, 4, 0, 0)))
        assert refusal(head + part(bytes(layers)) + part(bytes(layers), tile=1)) == expected


IN_LAYERS, IN_RESOLUTIONS = PACKET + b"\0" + b"\xc2f" + b"\0", PACKET + b"\xc2f" + b"\0\0"


@pytest.mark.parametrize(
    ("progression", "data", "complete"),
    [
        (0, IN_LAYERS, True),
        (0, IN_RESOLUTIONS, False),
        (1, IN_LAYERS, False),
        (1, IN_RESOLUTIONS, True),
        (4, IN_RESOLUTIONS, True),
        (5, IN_RESOLUTIONS, False),
    ],
)
def test_the_progression_order_decides_which_packet_is_next(progression: int, data: bytes, complete: bool) -> None:
    """Two layers of the lowest resolution have a code-block, and the other resolution has none (table A.16)."""
    head = codestream(style(bytes((1, 4, 4, 0, 0)), layers=2, progression=progression), size=siz(8, 8))
    assert (refusal(head + part(data)) is None) is complete
    if progression == 5:
        assert refusal(head + part(data)) == ORDER
