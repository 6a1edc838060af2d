"""A response has its time, its bytes and its values; integers of stores have bounds."""

import json
import tracemalloc

import pytest

from nightread.web import TooMuchError, UnavailableError, UnexpectedError, bounded_integer
from nightread.web.meter import HEAD_BYTES, LONGEST_SECONDS, SLOWEST_BYTES_PER_SECOND, ResponseMeter
from nightread.web.values import parse_json

MiB = 1024**2
MOST = 2**63 - 1


class Clock:
    """A clock that a test moves."""

    now = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_the_header_has_its_time_however_often_a_byte_arrives(clock: Clock) -> None:
    """30 s from the request on; the last wait is as long as the rest."""
    meter = ResponseMeter(30, clock)
    for now, left in ((100.0, 30.0), (110.0, 20.0), (129.5, 0.5)):
        clock.now = now
        assert meter.seconds_left() == left
        meter.received(1)
    clock.now = 130.0
    with pytest.raises(UnavailableError, match="does not answer within 30 s"):
        meter.seconds_left()


def test_only_content_earns_time(clock: Clock) -> None:
    """A second for 64 KiB, on top of the 30 s; bytes that are not content earn nothing."""
    meter = ResponseMeter(30, clock)
    meter.begin_body(100 * MiB)
    meter.received(50 * MiB)
    meter.content(10 * SLOWEST_BYTES_PER_SECOND)
    clock.now = 139.0
    assert meter.seconds_left() == 1.0
    clock.now = 140.0
    with pytest.raises(UnavailableError, match="less than 65536 bytes per second"):
        meter.seconds_left()


def test_a_wait_for_one_byte_is_never_longer_than_the_time_out(clock: Clock) -> None:
    """Time that was earned is not spent in one silence."""
    meter = ResponseMeter(30, clock)
    meter.begin_body(100 * MiB)
    meter.content(100 * SLOWEST_BYTES_PER_SECOND)
    assert meter.seconds_left() == 30.0


def test_no_response_takes_longer_than_an_hour(clock: Clock) -> None:
    """Even with enough content."""
    meter = ResponseMeter(30, clock)
    meter.begin_body(2**40)
    meter.content(2**39)
    clock.now += LONGEST_SECONDS
    with pytest.raises(UnavailableError, match="more than 3600 s"):
        meter.seconds_left()


def test_the_bytes_of_header_and_body_are_bounded(clock: Clock) -> None:
    """Chunks of one byte have six bytes, so that more may arrive than the content has."""
    meter = ResponseMeter(30, clock)
    meter.received(HEAD_BYTES)
    with pytest.raises(UnavailableError, match="headers"):
        meter.received(1)
    meter.begin_body(MiB)
    meter.received(7 * MiB)
    with pytest.raises(TooMuchError, match="1048576 bytes"):
        meter.received(2 * MiB)


@pytest.mark.parametrize(
    ("value", "number"),
    [(0, 0), (7, 7), ("7", 7), (" 7 ", 7), ("+7", 7), (1.0, 1), ("1.0", 1), ("1.", 1), ("007", 7), (MOST, MOST),
     (str(MOST), MOST), (9007199254740993, 9007199254740993)],
)  # fmt: skip
def test_a_number_of_a_store_is_read_exactly(value: object, number: int) -> None:
    """It may be a text or a decimal number."""
    assert bounded_integer(value, most=MOST) == number


@pytest.mark.parametrize(
    "value",
    [None, True, False, "", "many", "1.5", 1.5, -1, "-1", MOST + 1, 10**24, "1" * 25, "1" * 5000, float("inf"),
     float("-inf"), float("nan"), 1e300, "1e999", "1e3", "1_000", "0x10", "\u0663", "\u00b2", "1\n2", [], [1],
     {}, b"1"],
)  # fmt: skip
def test_anything_else_is_no_number(value: object) -> None:
    """The database takes up to 63 bits."""
    assert bounded_integer(value, most=MOST) is None


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[1,]", b"\xff\xfe", b"'a'", b"[" * 100_000, b'{"a":' * 100_000, b"9" * 5000, b'"\x00"', b"[1] [2]"],
)
def test_invalid_json_is_an_error(body: bytes) -> None:
    """Deep nesting and numbers of thousands of digits, too."""
    with pytest.raises(UnexpectedError, match="invalid JSON"):
        parse_json(body)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"[NaN, Infinity, -Infinity, 1]", [None, None, None, 1]),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b"1e999", float("inf")),
        ('\ufeff["\u00e9"]'.encode(), ["\u00e9"]),
        ('["\u00e9"]'.encode("utf-16"), ["\u00e9"]),
    ],
)
def test_odd_json_has_a_defined_value(body: bytes, value: object) -> None:
    """NaN and Infinity are absent values, and the last of equal names counts."""
    assert parse_json(body) == value


@pytest.mark.parametrize("piece", [b"[],", b"{},", b'{"a1":1},', b"1,", b'"",'])
def test_many_small_values_are_refused_before_they_are_made(piece: bytes) -> None:
    """30 MiB of them would need up to 2 GiB."""
    body = b"[" + piece * (30 * MiB // len(piece)) + b"1]"
    tracemalloc.start()
    try:
        with pytest.raises(TooMuchError, match="2,000,000 values"):
            parse_json(body)
        assert tracemalloc.get_traced_memory()[1] < MiB
    finally:
        tracemalloc.stop()


def test_a_list_of_twenty_thousand_rows_at_once_is_read() -> None:
    """Some stores ignore `limit`; each row has ten attributes."""
    row = {f"{tag:08X}": {"vr": "UI", "Value": ["1.2.826.0.1.3680043.10.1"]} for tag in range(10)}
    body = json.dumps([row] * 20_000).encode()
    assert len(parse_json(body)) == 20_000
