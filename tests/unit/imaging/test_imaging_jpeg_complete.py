"""How lost coded data of a JPEG frame are found, with frames made by hand and a decoder that does as it is told."""

import pytest
from jpeg_frames import (
    ALL,
    CODED,
    GREY,
    LOSSLESS,
    PROGRESSIVE,
    TOO_EARLY,
    TOO_LONG,
    Decoder,
    different,
    frame_of,
    refusal,
    size,
)
from test_imaging_frame_headers import END, segment
from test_imaging_jpeg_markers import scan

from imaging import jpeg_complete
from imaging.array import Array
from imaging.jpeg_complete import decode_complete
from imaging.jpeg_markers import read_markers
from nightread.reasons import Reason


def at(row: int, column: int, value: int = 7) -> Decoder:
    """Return a decoder that finds this pixel in the rows behind the picture."""

    def change(pixels: Array, call: int) -> None:
        if call == 1:
            pixels[row, column] = value

    return Decoder(change)


def rows_seen(decoder: Decoder) -> list[int]:
    """Return how many rows the decoder had to decode in each call."""
    return [found.rows for frame in decoder.seen if (found := read_markers(frame))]


@pytest.mark.parametrize(
    ("rows", "columns", "decoded"),
    [(5, 128, 16), (8, 128, 16), (9, 128, 24), (5, 127, 24), (5, 64, 24), (5, 63, 32), (5, 8, 136), (5, 1, 1032)],
)
def test_a_frame_is_decoded_with_rows_for_sixteen_blocks_more(rows: int, columns: int, decoded: int) -> None:
    """The picture has whole blocks of 8 rows, and only its own rows are returned."""
    frame = frame_of(size(rows, columns), scan(), CODED)
    decoder = at((rows + 7) // 8 * 8, 0)
    pixels = decode_complete(frame, decoder)
    assert pixels.shape == (rows, columns)
    assert rows_seen(decoder) == [decoded]
    whole = decoder.seen[0]
    assert (whole[:7], whole[9:]) == (frame[:7], frame[9:])


@pytest.mark.parametrize(
    ("row", "column", "calls"), [(8, 0, 1), (15, 7, 1), (8, 8, 2), (8, 71, 2), (7, 0, 2), (4, 127, 2)]
)
def test_behind_the_last_block_the_decoder_must_find_the_end(row: int, column: int, calls: int) -> None:
    """If the next block is grey, the frame is decoded again with other bytes behind its data."""
    frame = frame_of(size(), scan(), CODED)
    decoder = at(row, column)
    assert refusal(frame, decoder) is None or row < 8
    assert rows_seen(decoder) == [16, 5][:calls]


@pytest.mark.parametrize(
    ("columns", "row", "column", "expected"),
    [
        (128, 8, 71, None),
        (128, 8, 72, TOO_LONG),
        (128, 15, 127, TOO_LONG),
        (8, 23, 7, None),
        (8, 24, 0, TOO_LONG),
        (8, 135, 7, TOO_LONG),
        (64, 23, 63, None),
        (80, 8, 71, None),
        (80, 8, 72, TOO_LONG),
        (80, 16, 79, None),
    ],
)
def test_more_than_the_next_blocks_are_not_made_of_padding(
    columns: int, row: int, column: int, expected: tuple[Reason, str] | None
) -> None:
    """Nine blocks of the next row, and the row behind it."""
    assert refusal(frame_of(size(columns=columns), scan(), CODED), at(row, column)) == expected


def test_only_the_next_block_shows_that_the_data_go_on() -> None:
    """Not the one below it."""
    decoder = at(16, 0)
    assert refusal(frame_of(size(columns=64), scan(), CODED), decoder) is None
    assert rows_seen(decoder) == [24, 5]


def test_grey_is_half_of_the_range() -> None:
    """Of 12 bits it is 2,048: the other grey is a pixel like any other."""
    frame = frame_of(size(marker=0xC1, precision=12), scan(), CODED)
    assert refusal(frame, Decoder()) is None
    decoder = at(8, 0, 128)
    assert refusal(frame, decoder) is None
    assert rows_seen(decoder) == [16]
    assert refusal(frame, at(8, 100, 128)) == TOO_LONG


SCANS = {1: scan(), 2: scan(b"\x01\x00\x02\x00"), 3: ALL}


@pytest.mark.parametrize(
    ("sampling", "rows", "calls"),
    [
        (b"\x11\x11\x11", [16], 1),
        (b"\x21\x11\x11", [24], 1),
        (b"\x11\x41\x11", [40], 1),
        (b"\x12\x11\x11", [5, 5], 2),
        (b"\x11\x11\x12", [5, 5], 2),
        (b"\x21\x11", [24], 1),
        (b"\x12\x11", [5, 5], 2),
        (b"\x22", [16], 1),
        (b"\x21", [16], 1),
    ],
)
def test_the_blocks_of_all_components_are_a_unit(sampling: bytes, rows: list[int], calls: int) -> None:
    """A wide unit needs more rows. A high one would change the last colours: there the frame is decoded as it is."""
    frame = frame_of(size(sampling=sampling), SCANS[len(sampling)], CODED)
    decoder = Decoder(lambda pixels, _call: pixels.__setitem__((slice(8, 9), slice(0, 1)), 7))
    assert refusal(frame, decoder) is None
    assert (rows_seen(decoder), len(decoder.seen)) == (rows, calls)


def test_the_next_unit_may_be_wide() -> None:
    """Two blocks wide: a pixel in the second one is of the next unit."""
    frame = frame_of(size(sampling=b"\x21\x11\x11"), ALL, CODED)
    for column, calls in ((15, 1), (16, 2)):
        decoder = at(8, column)
        assert refusal(frame, decoder) is None
        assert len(decoder.seen) == calls
    wide = frame_of(size(columns=256, sampling=b"\x21\x11\x11"), ALL, CODED)
    assert refusal(wide, at(8, 143)) is None
    assert refusal(wide, at(8, 144)) == TOO_LONG


@pytest.mark.parametrize(("rows", "expected"), [(65_488, [65_496]), (65_489, [65_489, 65_489])])
def test_a_frame_of_the_most_rows_is_decoded_as_it_is(rows: int, expected: list[int]) -> None:
    """The decoder makes 65,500 rows."""
    decoder = at(65_488, 0)
    assert refusal(frame_of(size(rows), scan(), CODED), decoder) in (None, TOO_EARLY)
    assert rows_seen(decoder) == expected


def test_other_bytes_behind_the_data_must_not_matter() -> None:
    """They are put behind each scan, and before each restart marker; no byte of them is a marker or a zero."""
    first, second = scan(last=0) + b"ab\xff\xd0cd\xff\xff\xd1ef", scan(first=1) + b"gh"
    frame = frame_of(size(marker=PROGRESSIVE), first, second)
    decoder = different()
    assert refusal(frame, decoder) is None
    own, other = decoder.seen
    assert own == frame
    pieces = other.split(b"\xa7\x53\xfa\xa6")
    assert len(pieces) == 5
    rest = [piece[246:] for piece in pieces[1:]]
    assert [pieces[0][-2:], *(piece[:3] for piece in rest)] == [
        b"ab",
        b"\xff\xd0c",
        b"\xff\xff\xd1",
        b"\xff\xda\x00",
        END,
    ]
    inserted = [piece[:246] for piece in pieces[1:]]
    assert len(set(inserted)) == 1
    assert not set(inserted[0]) & {0, 255}
    assert refusal(frame, different(2)) == TOO_EARLY


@pytest.mark.parametrize(
    "parts",
    [
        (size(marker=PROGRESSIVE), scan(last=0), CODED, scan(first=1), CODED),
        (size(), scan(), CODED, scan(), CODED),
        (segment(0xDD, b"\x00\x63"), size(), scan(), CODED),
        (size(marker=PROGRESSIVE), scan(), CODED),
    ],
    ids=["progressive", "two scans", "restart interval", "progressive in one scan"],
)
def test_other_frames_are_decoded_twice(parts: tuple[bytes, ...]) -> None:
    """As they are, and with other bytes behind the data."""
    decoder = different()
    assert refusal(frame_of(*parts), decoder) is None
    assert rows_seen(decoder) == [5, 5]
    assert refusal(frame_of(*parts), different(2)) == TOO_EARLY


def test_a_sequential_frame_that_ends_with_zeros_is_decoded_three_times() -> None:
    """Its last bytes must matter: they are zeros that somebody may have filled in."""
    frame = frame_of(size(), scan(), CODED + b"\xff" + bytes(4))
    decoder = Decoder(lambda pixels, call: pixels.__setitem__((slice(8, 9), 0), 7) if call == 1 else None)
    assert refusal(frame, decoder) == TOO_LONG
    assert rows_seen(decoder) == [16, 5, 5]
    last = decoder.seen[2]
    assert last == frame[:-5] + b"\xa7\x53\xfa" + END
    matters = Decoder(lambda pixels, call: pixels.__setitem__((-1, 0), 7 if call == 3 else GREY))
    assert refusal(frame, matters) is None
    three = frame_of(size(), scan(), CODED + b"\xff" + bytes(3))
    decoder = at(8, 0)
    assert refusal(three, decoder) is None
    assert len(decoder.seen) == 1


def test_of_a_progressive_frame_the_last_bytes_may_be_zeros() -> None:
    """And of a blank one, all of whose codes may mean the same."""
    frame = frame_of(size(marker=PROGRESSIVE), scan(), CODED + bytes(4))
    decoder = different()
    assert refusal(frame, decoder) is None
    assert len(decoder.seen) == 2
    blank = Decoder(lambda pixels, _call: pixels.fill(GREY))
    assert refusal(frame_of(size(), scan(), CODED + bytes(4)), blank) is None
    assert rows_seen(blank) == [16, 5]


def test_bytes_of_a_marker_are_not_replaced() -> None:
    """Behind 0xFF another byte than zero would be one, so that it is replaced as well."""
    frame = frame_of(size(rows=1, columns=1, marker=LOSSLESS), scan(first=1), b"ab\xff\x00\xff\x00\x00\x00")
    decoder = Decoder()
    assert refusal(frame, decoder) == TOO_LONG
    assert decoder.seen[2] == frame[: -2 - 4] + b"\xa7\x53\xfa\xa6" + END


@pytest.mark.parametrize(("bits", "calls"), [(80, 1), (79, 1), (57, 1), (56, 2), (81, 2)])
def test_the_bits_of_a_lossless_frame_are_counted(monkeypatch: pytest.MonkeyPatch, bits: int, calls: int) -> None:
    """Ten bytes: up to 23 bits may be left. Otherwise other bytes behind the data tell."""
    monkeypatch.setattr(jpeg_complete, "coded_bits", lambda _pixels, _jpeg: bits)
    frame = frame_of(size(marker=LOSSLESS), scan(first=1), b"abcd\xff\x00efghi")
    decoder = different(3)
    pixels = decode_complete(frame, decoder)
    assert pixels.shape == (5, 128)
    assert len(decoder.seen) == (1 if calls == 1 else 3)


def test_the_last_bytes_of_a_lossless_frame_must_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the bits do not tell, three bytes are replaced."""
    monkeypatch.setattr(jpeg_complete, "coded_bits", lambda _pixels, _jpeg: 0)
    frame = frame_of(size(marker=LOSSLESS), scan(first=1), b"abcdefgh")
    decoder = different()
    assert refusal(frame, decoder) == TOO_LONG
    assert decoder.seen[2] == frame[:-5] + b"\xa7\x53\xfa" + END
    assert refusal(frame, different(3)) is None
    assert refusal(frame, different(2)) == TOO_EARLY


def test_damaged_markers_are_rejected() -> None:
    """Before anything is decoded."""
    decoder = Decoder()
    expected = "The markers of a JPEG frame are damaged, or of an unsupported process."
    assert refusal(frame_of(size()), decoder) == (Reason.BAD_PIXELS, expected)
    assert decoder.seen == []
