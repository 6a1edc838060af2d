"""How a frame is fitted into another size: every expected number is calculated by hand."""

from typing import Any

import numpy as np
import pytest

from imaging.array import Array
from imaging.dicom_image import Frame
from imaging.prepare import prepare
from imaging.spec import InputSpec, Intensity


def fitted(stored: list[list[int]], height: int, width: int, **options: Any) -> list[list[float]]:
    """Return the input that a picture of 8 bits becomes; 0 to 255 stay 0 to 255."""
    spec = InputSpec(
        height=height, width=width, channels=1, intensity=Intensity(kind="full"), scale_high=255, **options
    )
    frame = Frame(index=0, stored=np.array(stored, np.uint8), bits_stored=8)
    rounded: list[list[float]] = np.round(prepare(frame, spec)[..., 0], 3).tolist()
    return rounded


def columns(*values: int, rows: int) -> list[list[int]]:
    """Return a picture whose rows are equal."""
    return [list(values)] * rows


def turned(values: list[list[float]]) -> list[list[float]]:
    """Return the picture with its rows as columns."""
    return [list(row) for row in zip(*values, strict=True)]


EIGHT = (10, 20, 30, 40, 50, 60, 70, 80)


def test_a_wide_picture_loses_its_sides() -> None:
    """4 x 8 become 2 x 2: of eight columns the middle four are used, two for each pixel."""
    picture = columns(*EIGHT, rows=4)
    assert fitted(picture, 2, 2, aspect="crop") == [[35, 55], [35, 55]]
    assert fitted([list(row) for row in zip(*picture, strict=True)], 2, 2, aspect="crop") == [[35, 35], [55, 55]]


def test_a_wide_input_loses_rows_of_a_square() -> None:
    """4 x 4 become 2 x 4: the two rows in the middle; 4 x 2: the two columns."""
    square = columns(10, 20, 30, 40, rows=4)
    assert fitted(square, 4, 2, aspect="crop") == [[20, 30]] * 4
    assert fitted([list(row) for row in zip(*square, strict=True)], 2, 4, aspect="crop") == [[20] * 4, [30] * 4]


def test_an_odd_rest_is_cut_at_the_end() -> None:
    """Of five columns the second and the third stay."""
    assert fitted(columns(10, 20, 30, 40, 50, rows=2), 2, 2, aspect="crop") == [[20, 30], [20, 30]]


def test_at_least_one_row_is_left_of_a_line() -> None:
    """100 x 1 become 1 x 8: an eighth of a row is one row, the one in the middle."""
    line = [[number] for number in range(100)]
    assert fitted(line, 1, 8, aspect="crop") == [[49] * 8]
    assert fitted([list(range(100))], 8, 1, aspect="crop") == [[49]] * 8


def test_a_picture_is_padded_to_the_shape() -> None:
    """2 x 4 in 4 x 4: two rows in the middle; 4 x 2: two columns."""
    assert fitted(columns(10, 20, 30, 40, rows=2), 4, 4, aspect="pad") == [[0] * 4, *[[10, 20, 30, 40]] * 2, [0] * 4]
    assert fitted(columns(10, 20, rows=4), 4, 4, aspect="pad") == [[0, 10, 20, 0]] * 4


def test_a_picture_is_enlarged_until_one_side_fits() -> None:
    """1 x 2 in 4 x 4 is doubled, and 2 x 1 too."""
    doubled: list[list[float]] = [[0] * 4, [10, 10, 20, 20], [10, 10, 20, 20], [0] * 4]
    assert fitted([[10, 20]], 4, 4, aspect="pad", interpolation="nearest") == doubled
    assert fitted([[10], [20]], 4, 4, aspect="pad", interpolation="nearest") == turned(doubled)


def test_a_line_keeps_one_row() -> None:
    """1 x 100 in 8 x 8: eight columns, and a twelfth of a row is one row, the fourth."""
    bars = [[0.0] * 8] * 3 + [[200.0] * 8] + [[0.0] * 8] * 4
    assert fitted([[200] * 100], 8, 8, aspect="pad") == bars
    assert fitted([[200]] * 100, 8, 8, aspect="pad") == turned(bars)


def test_a_picture_of_the_size_stays_as_it_is() -> None:
    """No interpolation changes it."""
    for interpolation in ("area", "linear", "cubic", "nearest"):
        assert fitted([[10, 20, 30]], 1, 3, interpolation=interpolation) == [[10, 20, 30]]


@pytest.mark.parametrize(
    ("interpolation", "expected"),
    [("area", 35.0), ("linear", 0.0), ("nearest", 40.0), ("cubic", -13.125)],
)
def test_four_pixels_become_one(interpolation: str, expected: float) -> None:
    """The mean; the mean of the middle two; the first; or 19/32 of the middle two, minus 3/32 of the others."""
    assert fitted([[40, 0, 0, 100]], 1, 1, interpolation=interpolation) == [[expected]]
    assert fitted([[40], [0], [0], [100]], 1, 1, interpolation=interpolation) == [[expected]]


def test_an_enlarged_side_is_interpolated_even_by_area() -> None:
    """Two pixels become four; a side that shrinks beside it is interpolated too: its middle two count."""
    assert fitted([[0, 100]], 1, 4) == [[0, 25, 75, 100]]
    assert fitted([[0], [100]], 4, 1) == [[0], [25], [75], [100]]
    assert fitted([[40], [0], [20], [100]], 1, 2) == [[10, 10]]
    assert fitted([[40, 0, 20, 100]], 2, 1) == [[10], [10]]


def grey_values(colours: Array) -> list[float]:
    """Return the values of one channel for a row of RGB pixels, from 0 to 1000."""
    spec = InputSpec(height=1, width=colours.shape[1], channels=1, intensity=Intensity(kind="full"), scale_high=1000)
    values = prepare(Frame(index=0, stored=colours, bits_stored=8), spec)
    rounded: list[float] = np.round(values.reshape(-1)).tolist()
    return rounded


def test_grey_has_the_weights_of_bt_601() -> None:
    """0.299 of red, 0.587 of green and 0.114 of blue."""
    assert grey_values(np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)) == [299, 587, 114]


def test_bars_beside_colours_have_the_darkest_value_of_each_channel() -> None:
    """(0 - mean) / std."""
    spec = InputSpec(
        height=3, width=1, channels=3, intensity=Intensity(kind="full"), aspect="pad", mean=(1, 2, 3), std=(1, 2, 4)
    )
    frame = Frame(index=0, stored=np.full((1, 1, 3), 255, np.uint8), bits_stored=8)
    bar = [-1, -1, -0.75]
    assert prepare(frame, spec)[:, 0].tolist() == [bar, [0, -0.5, -0.5], bar]
