"""Change bytes at random positions, without regard to the format of the file."""

import random

from fuzz.file_layout import FileLayout

_FILLINGS = (b"\x00", b"\xff", b"\x7f", b"\x80", b"\\", b"9", b"\x1b$B", b"\xff\xfe")


def flip_bits(body: bytearray, _layout: FileLayout, rng: random.Random) -> None:
    """Flip 1 to 64 bits, half of the time in the first four kilobytes."""
    reach = len(body) if rng.random() < 0.5 else min(len(body), 4096)
    for _ in range(rng.choice((1, 2, 8, 64)) if reach else 0):
        body[rng.randrange(reach)] ^= 1 << rng.randrange(8)


def overwrite_bytes(body: bytearray, _layout: FileLayout, rng: random.Random) -> None:
    """Overwrite up to a kilobyte with a pattern or with noise."""
    start, length = _random_range(body, rng)
    body[start : start + length] = _filling(length, rng)


def insert_bytes(body: bytearray, _layout: FileLayout, rng: random.Random) -> None:
    """Insert up to a kilobyte, so that all following bytes move."""
    start, length = _random_range(body, rng)
    body[start:start] = _filling(length, rng)


def delete_bytes(body: bytearray, _layout: FileLayout, rng: random.Random) -> None:
    """Delete up to a kilobyte, so that all following bytes move."""
    start, length = _random_range(body, rng)
    del body[start : start + length]


def repeat_bytes(body: bytearray, _layout: FileLayout, rng: random.Random) -> None:
    """Insert up to a hundred copies of up to a kilobyte."""
    start, length = _random_range(body, rng)
    body[start:start] = body[start : start + length] * rng.choice((1, 3, 100))


def truncate(body: bytearray, _layout: FileLayout, rng: random.Random) -> None:
    """Truncate anywhere, or by up to 64 bytes."""
    keep = rng.randrange(len(body) + 1) if rng.random() < 0.5 else len(body) - rng.randrange(min(len(body), 64) + 1)
    del body[keep:]


def spliced(first: bytes, second: bytes, rng: random.Random) -> bytes:
    """Join the start of one file and the end of another."""
    return first[: rng.randrange(len(first) + 1)] + second[rng.randrange(len(second) + 1) :]


def _random_range(body: bytearray, rng: random.Random) -> tuple[int, int]:
    return rng.randrange(len(body) + 1), rng.choice((1, 2, 4, 8, 64, 1024))


def _filling(length: int, rng: random.Random) -> bytes:
    if rng.random() < 0.3:
        return rng.randbytes(length)
    filling = rng.choice(_FILLINGS)
    return (filling * length)[:length]
