"""When the pixels say that Rows and Columns are exchanged: each condition alone, with figures that are known."""

from typing import Any

import numpy as np
import pytest

from imaging.row_length import sides_are_exchanged

Pixels = np.ndarray[Any, Any]
BLACK = 100


def wave(numbers: Pixels, period: int, step: int) -> Pixels:
    """Return a triangle: it falls by `step` from pixel to pixel, and from the middle of its period on it rises."""
    return np.abs(period - 2 * (numbers % period)) * step // 2


def sheared(values: Pixels, row: int, off: int) -> Pixels:
    """Return the values with every second row of the picture brighter by `off`, as they lie in the file."""
    return (BLACK + values + off * (np.arange(len(values)) // row % 2)).astype(np.uint16)


def triangle(rows: int, columns: int, off: int = 3, step: int = 10) -> Pixels:
    """Return a triangle in the rows of the right picture, read as so many rows and columns."""
    return sheared(wave(np.arange(rows * columns), rows, step), rows, off).reshape(rows, columns)


@pytest.mark.parametrize(("off", "exchanged"), [(0, False), (1, True), (19, True), (22, False)])
def test_rows_that_are_related_differ_by_less_than_a_quarter(off: int, exchanged: bool) -> None:
    """Said rows end in the middle of right ones: pixels differ by 160, 140 ... 0 ... 140, which is 80 on the average.

    A picture that repeats itself without any difference is a pattern.
    """
    assert sides_are_exchanged(triangle(32, 48, off)) is exchanged


@pytest.mark.parametrize(("off", "exchanged"), [(6, True), (11, False)])
def test_the_next_row_is_nearer_than_half_a_row(off: int, exchanged: bool) -> None:
    """The steep triangle repeats itself in half of a row, so that pixels half a row apart differ by 16 to 19."""
    numbers = np.arange(32 * 40)
    pixels = sheared(wave(numbers, 16, 40) + wave(numbers, 32, 2), 32, off)
    assert sides_are_exchanged(pixels.reshape(32, 40)) is exchanged


@pytest.mark.parametrize(("mark", "exchanged"), [(1500, True), (2200, False)])
def test_rows_that_differ_little_are_related(mark: int, exchanged: bool) -> None:
    """Rows differ by about 90, which is 6 or 4 % of the range: one bright pixel decides about the range."""
    pixels = triangle(32, 48)
    pixels[0, 20] = mark
    assert sides_are_exchanged(pixels) is exchanged


@pytest.mark.parametrize(
    ("rows", "columns", "exchanged"),
    [(16, 24, True), (15, 24, False), (24, 16, True), (24, 15, False), (48, 32, True), (40, 1300, True)],
)
def test_a_picture_has_at_least_16_rows_and_columns(rows: int, columns: int, exchanged: bool) -> None:
    """Few pixels may look like anything."""
    assert sides_are_exchanged(triangle(rows, columns)) is exchanged


@pytest.mark.parametrize(
    ("first", "second", "exchanged"),
    [(16, 32, False), (17, 33, True), (15, 31, True), (20, 32, True), (16, 36, True)],
)
def test_ends_of_rows_are_no_leaps_in_a_sheared_picture(first: int, second: int, exchanged: bool) -> None:
    """Each right row has a bright part. Said rows end before pixels 0 and 16 of right ones, in turn.

    If all of them end at a leap, they may be right. If half of them do, they may be ends in both readings.
    """
    at = (np.arange(32 * 48) - first) % 32
    pixels = sheared(np.where(at < second - first, 160, 0), 32, 3)
    assert sides_are_exchanged(pixels.reshape(32, 48)) is exchanged


def test_neighbours_in_a_sheared_picture_are_related() -> None:
    """In every second pixel there is a line, but not at the ends of rows: only the lines speak against the shear."""
    numbers = np.arange(32 * 48)
    inner = (numbers % 16 > 1) & (numbers % 16 < 14)
    lines = np.where(inner & (numbers % 2 == 1), 160, 0)
    assert sides_are_exchanged(sheared(wave(numbers, 32, 10), 32, 3).reshape(32, 48)) is True
    assert sides_are_exchanged(sheared(wave(numbers, 32, 10) + lines, 32, 3).reshape(32, 48)) is False


def test_a_part_of_a_wide_picture_is_looked_at() -> None:
    """Of 40 x 1300 pixels, 512 from the first one on: a bright pixel behind them is not seen."""
    pixels = triangle(40, 1300)
    pixels[0, 600] = 60000
    assert sides_are_exchanged(pixels) is True
    pixels[0, 500] = 60000
    assert sides_are_exchanged(pixels) is False
