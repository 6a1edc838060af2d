"""The scans and restart intervals that a JPEG frame needs: all components, coefficients, bits and intervals."""

import pytest
from jpeg_frames import (
    ALL,
    CODED,
    LOSSLESS,
    NO_INTERVAL,
    NO_SCAN,
    PROGRESSIVE,
    TOO_LONG,
    different,
    frame_of,
    refusal,
    size,
)
from test_imaging_frame_headers import segment
from test_imaging_jpeg_markers import scan

from nightread.reasons import Reason


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([b"\x01\x00\x02\x00\x03\x00"], None),
        ([b"\x01\x00", b"\x02\x00", b"\x03\x00"], None),
        ([b"\x01\x00", b"\x02\x00"], NO_SCAN),
        ([b"\x01\x00\x02\x00"], NO_SCAN),
        ([b"\x01\x00\x02\x00\x04\x00"], NO_SCAN),
    ],
)
def test_every_component_needs_a_scan(pairs: list[bytes], expected: tuple[Reason, str] | None) -> None:
    """A frame that lost one would lack a colour."""
    frame = frame_of(size(sampling=b"\x11\x11\x11"), *(part for each in pairs for part in (scan(each), CODED)))
    assert refusal(frame, different()) == expected


DC, AC = (0, 0, 0x00), (1, 63, 0x00)


@pytest.mark.parametrize(
    ("scans", "complete"),
    [
        ([DC, AC], True),
        ([AC, DC], True),
        ([DC], False),
        ([AC], False),
        ([DC, (1, 62, 0)], False),
        ([DC, (2, 63, 0)], False),
        ([DC, (1, 5, 0), (6, 63, 0)], True),
        ([DC, (1, 5, 0), (7, 63, 0)], False),
        ([DC, (1, 6, 0), (6, 63, 0)], False),
        ([(0, 0, 0x01), (0, 0, 0x10), AC], True),
        ([(0, 0, 0x01), AC], False),
        ([(0, 0, 0x01), AC, (0, 0, 0x10)], True),
        ([DC, (1, 63, 0x02), (1, 63, 0x21), (1, 63, 0x10)], True),
        ([DC, (1, 63, 0x02), (1, 63, 0x21)], False),
        ([DC, (1, 63, 0x02), (1, 63, 0x10)], False),
        ([DC, (1, 63, 0x02), (1, 40, 0x20), (41, 63, 0x20)], True),
        ([DC, (1, 63, 0x02), (1, 40, 0x20)], False),
        ([DC, (1, 63, 0x10)], False),
        ([DC, AC, AC], False),
        ([DC, DC, AC], False),
    ],
)
def test_the_scans_of_a_progressive_frame_code_all_bits(scans: list[tuple[int, int, int]], complete: bool) -> None:
    """Each coefficient once, then each bit in turn, down to the lowest (G.1.1.1)."""
    parts = [part for each in scans for part in (scan(b"\x01\x00", *each), CODED)]
    frame = frame_of(size(marker=PROGRESSIVE), *parts)
    assert refusal(frame, different()) == (None if complete else NO_SCAN)


def test_each_component_of_a_progressive_frame_needs_all_bits() -> None:
    """The first scan codes three components, and each of them has a scan of its own for the others."""
    each = [scan(bytes((component, 0)), 1, 63) + CODED for component in (1, 2, 3)]
    first = scan(b"\x01\x00\x02\x00\x03\x00", 0, 0) + CODED
    head = size(marker=PROGRESSIVE, sampling=b"\x11\x11\x11")
    assert refusal(frame_of(head, first, *each), different()) is None
    for missing in range(3):
        kept = each[:missing] + each[missing + 1 :]
        assert refusal(frame_of(head, first, *kept), different()) == NO_SCAN
        coarse = scan(bytes((missing + 1, 0)), 1, 63, 0x01) + CODED
        assert refusal(frame_of(head, first, *kept, coarse), different()) == NO_SCAN


def restarts(numbers: list[int]) -> bytes:
    """Return coded data with these restart markers."""
    return b"a" + b"".join(bytes((0xFF, 0xD0 + number)) + b"a" for number in numbers)


@pytest.mark.parametrize(
    ("interval", "numbers", "expected"),
    [
        (2, [0, 1], None),
        (2, [0, 1, 2], None),
        (2, [0], NO_INTERVAL),
        (2, [0, 1, 2, 3], NO_INTERVAL),
        (2, [1, 2], NO_INTERVAL),
        (2, [0, 2], NO_INTERVAL),
        (4, [0], None),
        (5, [0], None),
        (6, [], None),
        (6, [0], None),
        (7, [], None),
        (6, [0, 1], NO_INTERVAL),
        (5, [], NO_INTERVAL),
    ],
)
def test_restart_intervals_are_counted(interval: int, numbers: list[int], expected: tuple[Reason, str] | None) -> None:
    """24 x 16 pixels are six blocks. A marker behind the last interval is allowed."""
    frame = frame_of(segment(0xDD, bytes((0, interval))), size(16, 24), scan(), restarts(numbers))
    assert refusal(frame, different()) == expected


def test_restart_markers_count_modulo_eight() -> None:
    """Ten blocks have nine (B.1.1.3)."""
    head = segment(0xDD, b"\x00\x01"), size(8, 80), scan()
    assert refusal(frame_of(*head, restarts([0, 1, 2, 3, 4, 5, 6, 7, 0])), different()) is None
    assert refusal(frame_of(*head, restarts([0, 1, 2, 3, 4, 5, 6, 7, 1])), different()) == NO_INTERVAL


def test_the_intervals_of_several_scans_are_not_counted() -> None:
    """Each would have its own number."""
    frame = frame_of(segment(0xDD, b"\x00\x01"), size(8, 80), scan(), CODED, scan(), CODED)
    assert refusal(frame, different()) is None


@pytest.mark.parametrize(
    ("head", "pairs", "units"),
    [
        (size(17, 33), scan(), 15),
        (size(16, 32), scan(), 8),
        (size(17, 33, sampling=b"\x22"), scan(), 15),
        (size(17, 33, sampling=b"\x11\x11\x11"), ALL, 15),
        (size(17, 33, sampling=b"\x21\x11\x11"), ALL, 9),
        (size(17, 33, sampling=b"\x12\x11\x11"), ALL, 10),
        (size(17, 33, sampling=b"\x11\x22\x11"), ALL, 6),
        (size(17, 33, sampling=b"\x11\x12\x21"), ALL, 6),
        (size(17, 33, sampling=b"\x21\x11"), scan(b"\x01\x00\x02\x00"), 9),
        (size(2, 3, marker=LOSSLESS), scan(first=1), 6),
        (size(2, 3, marker=LOSSLESS, sampling=b"\x11\x11\x11"), ALL, 6),
        (size(2, 3, marker=LOSSLESS, sampling=b"\x21\x11\x11"), ALL, 4),
    ],
)
def test_the_units_of_a_frame(head: bytes, pairs: bytes, units: int) -> None:
    """Blocks of 8 x 8, of the most coarsely sampled component together; pixels if it is lossless (A.2)."""
    interval = segment(0xDD, b"\x00\x01")
    for number, expected in ((units - 2, NO_INTERVAL), (units - 1, None), (units, None), (units + 1, NO_INTERVAL)):
        frame = frame_of(interval, head, pairs, restarts([index % 8 for index in range(number)]))
        found = refusal(frame, different(3))
        assert (None if found == TOO_LONG else found) == expected, number
