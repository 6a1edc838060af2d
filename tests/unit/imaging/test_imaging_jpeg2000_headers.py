"""Headers of JPEG 2000 frames made by hand: sizes, boxes, colours, and where coding styles are found."""

import pytest
from jpeg2000_headers import SOD, TAIL, box, coc, cod, codestream, comment, jp2, siz, sot

from imaging.jpeg2000 import codestream_start, has_own_colour_transform, is_reversible, is_ycc, read_size

BAD = cod(2, 2)
"""Code-blocks of 4 x 4 pixels: a frame of 1,024 x 1,024 with these has no size."""
GOOD = (1024, 1024, 1, 8, False)
WHOLE = ((1, 1), (1, 1), (1, 1))


def size_of(size: bytes, *segments: bytes) -> tuple[int, int, int, int, bool] | None:
    """Return the size of a frame with these segments."""
    return read_size(codestream(*segments, size=size) + TAIL)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (siz(30, 20), (20, 30, 1, 8, False)),
        (siz(30, 20, left=4, top=3), (17, 26, 1, 8, False)),
        (siz(30, 20, depth=11), (20, 30, 1, 12, False)),
        (siz(30, 20, depth=0x80 + 11), (20, 30, 1, 12, True)),
        (siz(30, 20, depth=0), (20, 30, 1, 1, False)),
        (siz(30, 20, depth=37), (20, 30, 1, 38, False)),
        (siz(30, 20, sampling=WHOLE), (20, 30, 3, 8, False)),
        (siz(30, 20, sampling=((2, 1), *WHOLE[1:])), None),
        (siz(30, 20, sampling=((1, 2), *WHOLE[1:])), None),
        (siz(30, 20, sampling=(WHOLE[0], (2, 2), WHOLE[0])), None),
        (siz(30, 20, sampling=(*WHOLE[1:], (2, 1))), None),
        (siz(30, 20, sampling=(*WHOLE, (2, 2))), (20, 30, 4, 8, False)),
        (siz(30, 20)[2:], None),
        (b"\xff\x50" + siz(30, 20)[2:], None),
    ],
)
def test_the_size_of_a_frame(size: bytes, expected: tuple[int, int, int, int, bool] | None) -> None:
    """It is from the offset of the image to its end; the depth is one less than the bits, with the sign above."""
    assert size_of(size) == expected


def test_a_size_that_the_frame_cuts_is_none() -> None:
    """A frame of one component has 45 bytes of header."""
    frame = codestream(size=siz(30, 20))
    assert (read_size(frame), read_size(frame[:-1])) == ((20, 30, 1, 8, False), None)
    inside = jp2(box(b"jp2c", frame))
    assert (read_size(inside), read_size(inside[:-1])) == ((20, 30, 1, 8, False), None)


@pytest.mark.parametrize(
    ("right", "bottom", "tile", "accepted"),
    [
        (8192, 1, (1, 1, 0, 0), True),
        (8193, 1, (1, 1, 0, 0), False),
        (1, 8192, (1, 1, 0, 0), True),
        (1, 8193, (1, 1, 0, 0), False),
        (16384, 1, (2, 1, 0, 0), True),
        (16385, 1, (2, 1, 0, 0), False),
        (1, 16385, (1, 2, 0, 0), False),
        (16394, 1, (2, 1, 10, 0), True),
        (16395, 1, (2, 1, 10, 0), False),
        (1, 16394, (1, 2, 0, 10), True),
        (1, 16395, (1, 2, 0, 10), False),
        (128, 64, (1, 1, 0, 0), True),
        (128, 65, (1, 1, 0, 0), False),
        (9, 9, (0, 9, 0, 0), False),
        (9, 9, (9, 0, 0, 0), False),
    ],
)
def test_the_number_of_tiles_has_a_limit(
    right: int, bottom: int, tile: tuple[int, int, int, int], accepted: bool
) -> None:
    """8,192 tiles are accepted; they begin at their own offset, and a part of one at the edge counts."""
    found = size_of(siz(right, bottom, tile=tile))
    assert found == ((bottom, right, 1, 8, False) if accepted else None)


@pytest.mark.parametrize(
    ("size", "accepted"),
    [
        (siz(65536, 1), True),
        (siz(65537, 1), False),
        (siz(1, 65536), True),
        (siz(1, 65537), False),
        (siz(65540, 1, left=4), True),
        (siz(65541, 1, left=4), False),
        (siz(1, 65540, top=4), True),
        (siz(1, 65541, top=4), False),
        (siz(21845, 1, sampling=WHOLE), True),
        (siz(21846, 1, sampling=WHOLE), False),
    ],
)
def test_a_frame_of_65536_values_may_have_any_code_blocks(size: bytes, accepted: bool) -> None:
    """The values of all components count."""
    assert (size_of(size, BAD) is not None) is accepted


SKIPPED = comment(b"\xff\x52\x00\x0c" + bytes(10))
"""A comment that holds the bytes of a coding style."""
PART = sot(12 + len(BAD) + 4) + BAD + SOD + b"\xff\x52"
EMPTY_PART = sot(14) + SOD


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        ((), GOOD),
        ((cod(),), GOOD),
        ((BAD,), None),
        ((coc(2, 2),), None),
        ((cod(), coc(2, 2)), None),
        ((cod(), coc()), GOOD),
        ((SKIPPED, BAD), None),
        ((SKIPPED, cod()), GOOD),
        ((cod(), sot(0), BAD), None),
        ((cod(), PART), None),
        ((cod(), EMPTY_PART, PART), None),
        ((cod(), EMPTY_PART, sot(14), SOD, PART), None),
        ((cod(), sot(0), SOD, PART), GOOD),
        ((cod(), sot(13), SOD, b"\x00", BAD), GOOD),
        ((cod(), sot(14 + len(BAD)), SOD, BAD), GOOD),
    ],
    ids=[
        *("none", "usual", "small", "small of a component", "small of a component behind the usual", "both usual"),
        *("behind a comment", "usual behind a comment", "in a tile-part without length", "in a tile-part"),
        *("in the second tile-part", "in the third", "behind an open tile-part", "behind a length that is too small"),
        "in the data",
    ],
)
def test_where_coding_styles_are_found(
    segments: tuple[bytes, ...], expected: tuple[int, int, int, int, bool] | None
) -> None:
    """In the main header and in the headers of all tile-parts, but not in data or comments."""
    assert size_of(siz(), *segments) == expected


@pytest.mark.parametrize("length", [1, 11, 12, 13])
def test_a_tile_part_that_ends_before_its_data_ends_the_search(length: int) -> None:
    """A length of 12 is that up to the marker of the data: it must not be read again and again."""
    assert size_of(siz(), cod(), sot(length), SOD) == GOOD
    assert is_reversible(codestream(sot(length), SOD, TAIL)) is False


@pytest.mark.parametrize("style", [BAD, coc(2, 2)])
def test_a_style_that_the_frame_cuts_is_not_read(style: bytes) -> None:
    """15 bytes from its marker on must be there."""
    frame = codestream(style.ljust(15, b"\x00"))
    assert (read_size(frame), read_size(frame[:-1])) == (None, GOOD)


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (b"", 0),
        (codestream(), 0),
        (jp2(box(b"jp2c", b"ab")), 20),
        (jp2(box(b"ftyp", b"abcd"), box(b"jp2c", b"ab")), 32),
        (jp2(box(b"jp2h", b"ihdr"), box(b"jp2c", length=0)), 32),
        (jp2(box(b"jp2c", bytes(8), length=1)), 28),
        (jp2(box(b"jp2c")), 20),
        (jp2(box(b"free"), box(b"jp2c", b"ab")), 28),
        (jp2(box(b"free", length=7), b"\x00\x00\x00jp2c", b"abcd"), 31),
        (jp2(box(b"free", bytes(8), length=1), box(b"jp2c")), 36),
        (jp2(box(b"jp2h", b"pclr"), box(b"jp2c"), b"abcd"), 36),
        (jp2(box(b"uuid", b"pclr"), box(b"jp2c"), b"abcd"), 32),
        (jp2(box(b"jp2h", b"ihdr"), box(b"uuid", b"pclr"), box(b"jp2c", b"ab")), 44),
        (jp2(box(b"uuid", b"pclr"), box(b"jp2h", b"ihdr"), box(b"jp2c", b"ab")), 44),
        (jp2(b"abcdefg"), 19),
        (jp2(box(b"free"), b"abcdefg"), 27),
        (jp2(box(b"jp2c", length=3)), 20),
        (jp2(), 12),
    ],
)
def test_the_start_of_the_codestream(frame: bytes, expected: int) -> None:
    """It is behind the header of its box; without one, and with a palette, it is the end of the frame."""
    assert codestream_start(frame) == expected


def colours(method: int, number: int, *, before: bytes = b"", behind: bytes = b"") -> bytes:
    """Return a JP2 file with a colour specification (I.5.3.3)."""
    colr = box(b"colr", bytes((method, 0, 0)) + number.to_bytes(4, "big"))
    return jp2(box(b"jp2h", before + colr), box(b"jp2c", behind))


def test_the_colour_space_of_a_jp2_file() -> None:
    """18 is sYCC, 16 is sRGB; method 2 means a profile."""
    assert is_ycc(colours(1, 18))
    assert is_ycc(colours(1, 18, before=box(b"ihdr", bytes(14)), behind=codestream()))
    assert not is_ycc(colours(1, 16))
    assert not is_ycc(colours(1, 0x1200))
    assert not is_ycc(colours(2, 18))
    assert not is_ycc(colours(0, 18))
    assert not is_ycc(colours(1, 16, behind=colours(1, 18)))
    assert not is_ycc(jp2(box(b"jp2c", colours(1, 18))))
    assert not is_ycc(codestream())


@pytest.mark.parametrize(("own", "expected"), [(0, False), (1, True), (2, False)])
@pytest.mark.parametrize("in_boxes", [True, False])
def test_the_multiple_component_transformation(own: int, expected: bool, in_boxes: bool) -> None:
    """The first style of the whole frame has the flag; a style of a component has none."""
    frame = codestream(comment(b"\x01" * 20), coc(), cod(own_colours=own), cod(own_colours=1), TAIL)
    assert has_own_colour_transform(jp2(box(b"jp2c", frame)) if in_boxes else frame) is expected


@pytest.mark.parametrize(("transform", "expected"), [(0, False), (1, True)])
@pytest.mark.parametrize("in_boxes", [True, False])
def test_the_wavelet_transformation(transform: int, expected: bool, in_boxes: bool) -> None:
    """1 is the reversible one (table A.20)."""
    frame = codestream(coc(), cod(transform=transform), cod(), TAIL)
    assert is_reversible(jp2(box(b"jp2c", frame)) if in_boxes else frame) is expected


def test_a_frame_without_coding_style_has_no_transformation() -> None:
    """A width of 65,536 and 73 components have a 1 at the places that would be read."""
    frame = codestream(size=siz(65536, 1, sampling=((1, 1),) * 73))
    assert (frame[4], frame[9]) == (1, 1)
    assert not has_own_colour_transform(frame)
    assert not is_reversible(frame)


def test_a_coding_style_at_the_end_of_the_frame() -> None:
    """It has 14 bytes."""
    frame = codestream(cod(own_colours=1))
    assert (has_own_colour_transform(frame), is_reversible(frame)) == (True, True)
    assert (has_own_colour_transform(frame[:-1]), is_reversible(frame[:-1])) == (False, False)
