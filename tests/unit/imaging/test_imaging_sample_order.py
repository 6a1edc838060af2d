"""The order of colour samples: pictures whose differences are known, so that one of them decides."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from layouts import colour_layout

from imaging import tags
from imaging.pixel_layout import PixelLayout
from imaging.sample_order import grey_shares, is_by_plane

Words = np.ndarray[Any, Any]
ROWS, COLUMNS = 48, 60


def layout(planar: bool, rows: int = ROWS, columns: int = COLUMNS, **values: Any) -> PixelLayout:
    return colour_layout("RGB", rows=rows, columns=columns, planar=planar, **values)


def in_rows(first: Words, thirds: list[int], down: int, rows: int = ROWS) -> Words:
    """Return samples: each row of the file has these values, plus those of its parts, plus `down` per row."""
    row = np.resize(first, COLUMNS * len(thirds)) + np.repeat(thirds, COLUMNS)
    return (row + down * np.arange(rows)[:, None]).astype(np.int64).reshape(-1)


def samples(pixel: int, second: int, down: int, down_in_planes: int) -> Words:
    """Return samples whose neighbours differ by known numbers on the average.

    By pixel, they differ by `pixel` along the row and by `down` along the column; by plane, by a third of
    2 * second + pixel along the row and by `down_in_planes` along the column. The second sample of each pixel is
    higher by `second`, so that up to 2 all pixels are grey. By plane, none is grey if `down` is at least 1.
    """
    first = np.array([0, second, 0, pixel, pixel + second, pixel])
    return in_rows(first, [0, down_in_planes, down - down_in_planes], down)


@pytest.mark.parametrize(
    ("pixel", "second", "down", "down_in_planes", "by_plane"),
    [
        (90, 0, 30, 14, True), (90, 0, 30, 15, False),
        (5, 1, 30, 10, True), (4, 1, 30, 10, False),
    ],
)  # fmt: skip
def test_planes_that_are_far_smoother_need_no_grey(
    pixel: int, second: int, down: int, down_in_planes: int, by_plane: bool
) -> None:
    """Less than half of 30, and 7 / 3 of 5 or 2 of 4. All pixels are grey if the samples lie by pixel."""
    assert is_by_plane(samples(pixel, second, down, down_in_planes), layout(planar=False)) is by_plane


@pytest.mark.parametrize(
    ("second", "down_in_planes", "by_plane"),
    [(62, 24, True), (63, 23, True), (63, 24, False), (45, 24, True), (45, 25, False), (64, 18, False)],
)
def test_planes_are_clearly_smoother_in_both_directions(second: int, down_in_planes: int, by_plane: bool) -> None:
    """No pixel is grey. By pixel they differ by 90 and 30: planes may differ by 72 (63) and 24, but not by both."""
    assert is_by_plane(samples(90, second, 30, down_in_planes), layout(planar=False)) is by_plane


@pytest.mark.parametrize(
    ("thirds", "by_plane"), [([0, 24, 6], True), ([0, 25, 6], False), ([0, 6, 24], True), ([0, 24, 5], False)]
)
def test_each_row_of_a_plane_is_smooth(thirds: list[int], by_plane: bool) -> None:
    """A row of the file has three of them: what differs from the first to the second, or from the last to the next."""
    assert is_by_plane(in_rows(np.array([0, 45, 0, 90, 135, 90]), thirds, 30), layout(planar=False)) is by_plane


@pytest.mark.parametrize(("down_in_planes", "by_plane"), [(20, True), (21, False)])
def test_pixels_are_clearly_smoother_in_sum(down_in_planes: int, by_plane: bool) -> None:
    """30 and 10 by pixel, 30 and 20 or 21 by plane: less than 80 % only of 51."""
    assert is_by_plane(samples(30, 30, 10, down_in_planes), layout(planar=True)) is by_plane


def test_more_grey_pixels_in_the_other_order() -> None:
    """30 and 10 by pixel, 10 and 50 by plane: all pixels are grey by pixel, and none by plane."""
    assert is_by_plane(samples(30, 0, 10, 50), layout(planar=True)) is False


@pytest.mark.parametrize("planar", [False, True])
def test_grey_in_both_orders_tells_nothing(planar: bool) -> None:
    """Columns: all rows are the same, so that planes are too."""
    assert is_by_plane(samples(30, 0, 0, 0), layout(planar)) is planar


@pytest.mark.parametrize(("columns", "by_plane"), [(2, True), (3, False)])
def test_one_grey_pixel_in_twenty_keeps_the_order(columns: int, by_plane: bool) -> None:
    """2 or 3 of 60 columns are grey by pixel, and no pixel is grey by plane, which is smoother: 60 and 20 by plane."""
    words = samples(90, 45, 30, 20).reshape(-1, COLUMNS, 3)
    words[:, 10 : 10 + columns, 1] -= 45
    assert is_by_plane(words.reshape(-1), layout(planar=False)) is by_plane


def speckle(levels: int, rows: int, columns: int, down: int = 0) -> Words:
    """Return grey noise of so many levels, by pixel; each row is brighter by `down`."""
    noise = np.random.default_rng(8).permutation(np.resize(8 * np.arange(levels), rows * columns))
    return np.repeat(noise.reshape(rows, columns) + down * np.arange(rows)[:, None], 3)


@pytest.mark.parametrize(("levels", "by_plane"), [(31, True), (32, False)])
def test_noise_has_at_least_32_values(levels: int, by_plane: bool) -> None:
    """Lines of a pattern may have the distance of planes."""
    assert is_by_plane(speckle(levels, 63, 96), layout(planar=True, rows=63, columns=96)) is by_plane


@pytest.mark.parametrize(("pixel", "by_plane"), [(85, False), (95, True)])
def test_the_other_order_may_be_rougher_by_60_percent(pixel: int, by_plane: bool) -> None:
    """Grey columns that differ by `pixel`, in rows that differ by 70: `pixel` + 70 by pixel, `pixel` / 3 + 70 by plane.

    That is 155 to 98, or 165 to 102. Some bright columns show that the changes are those of grey pixels.
    """
    columns = pixel * (np.arange(96) % 2) + np.where(np.arange(96) % 19 == 7, 3, 0)
    words = np.repeat(columns + 70 * np.arange(64)[:, None], 3)
    assert is_by_plane(words, layout(planar=True, rows=64, columns=96)) is by_plane


def test_the_same_noise_around_different_means() -> None:
    """The planes of a strong tint are as rough as their pixels, and no pixel is grey."""
    noise = 8 * np.random.default_rng(8).integers(0, 40, (63, 96))
    words = np.stack([noise + 2000, noise, noise + 200]).reshape(-1)
    assert is_by_plane(words, layout(planar=False, rows=63, columns=96)) is True
    other = np.random.default_rng(9).integers(0, 40, (3, 63, 96)) * 8
    assert is_by_plane(other.reshape(-1), layout(planar=False, rows=63, columns=96)) is False


def planes(rows: int, columns: int) -> Words:
    """Return three smooth planes of different brightness."""
    down, across = np.mgrid[0:rows, 0:columns]
    return np.stack([5 * across + 7 * down + third for third in (0, 40, 90)]).reshape(-1)


@pytest.mark.parametrize(
    ("rows", "columns", "by_plane"), [(16, 18, True), (15, 18, False), (18, 16, True), (18, 15, False)]
)
def test_a_picture_has_at_least_16_rows_and_columns(rows: int, columns: int, by_plane: bool) -> None:
    """The order of a few pixels is that of the header."""
    assert is_by_plane(planes(rows, columns), layout(planar=False, rows=rows, columns=columns)) is by_plane
    floats = layout(planar=False, rows=rows, columns=columns, pixel_tag=tags.FLOAT_PIXEL_DATA)
    assert is_by_plane(planes(rows, columns), floats) is False


def test_all_rows_of_the_file_are_looked_at() -> None:
    """The first third has one colour."""
    words = np.roll(samples(90, 45, 30, 20).reshape(ROWS, -1), ROWS // 3, axis=0)
    words[: ROWS // 3] = np.resize([0, 5, 0], 3 * COLUMNS)
    assert is_by_plane(words.reshape(-1), layout(planar=False)) is True


def test_512_columns_of_a_wide_picture_are_looked_at() -> None:
    """Behind them, neighbours by plane differ by far more than neighbours by pixel."""
    words = planes(20, 1200).reshape(20, 3600)
    words[:, 520:1200:3] += 50_000
    words[:, 1720:2400:3] += 50_000
    assert is_by_plane(words.reshape(-1), layout(planar=False, rows=20, columns=1200)) is True


@pytest.mark.parametrize("planar", [False, True])
def test_noise_in_512_columns_decides(planar: bool) -> None:
    """In these, all colours have the same noise in the other order; behind them, each has its own."""
    noise = 8 * np.random.default_rng(8).integers(0, 40, (63, 1600, 1))
    own = 8 * np.random.default_rng(9).integers(0, 40, (63, 1600, 3))
    picture = np.where(np.arange(1600)[:, None] < 512, noise, own)
    words = np.ascontiguousarray(picture if planar else np.moveaxis(picture, -1, 0)).reshape(-1)
    assert is_by_plane(words, layout(planar, rows=63, columns=1600)) is not planar


@pytest.mark.parametrize(("rows", "share"), [(31, 0.5), (32, 1.0)])
def test_some_pixels_are_asked_for_grey(rows: int, share: float) -> None:
    """Of 16 x 512 pixels all; of twice as many, every second one. Here, these are grey."""
    words = np.resize([9, 9, 9, 10, 70, 10], rows * 512 * 3)
    assert grey_shares(words, layout(planar=False, rows=rows, columns=512))[0] == share


HALVES = layout(planar=False, rows=48, columns=64)


def half_chroma(pair: int, second: int, down: int, down_in_planes: int) -> Words:
    """Return samples of 4:2:2: pairs of pixels, Y Y Cb Cr, differ by `pair`, and every second sample by `second`.

    The rows behind the middle are noise: by plane, they hold no luminance.
    """
    first = np.array([0, second, 0, second, pair, pair + second, pair, pair + second])
    row = np.resize(first, 128) + np.repeat([0, down_in_planes], 64)
    words = row + down * np.arange(48)[:, None]
    words[24:] = np.random.default_rng(8).integers(0, 9999, (24, 128))
    return words.reshape(-1)


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize(
    ("second", "down_in_planes", "by_plane"),
    [(65, 23, True), (66, 23, False), (65, 24, False), (10, 7, True), (10, 6, False)],
)
def test_planes_of_half_chroma_are_smoother_in_both_directions(
    second: int, down_in_planes: int, by_plane: bool, planar: bool
) -> None:
    """By pixel, they differ by 88 and 30. By plane, 65 gives 69.7 and 66 gives 70.4, which is 80 % of 88.

    Along the column they differ by `down_in_planes`, or by what remains of 30 to the next row.
    """
    words = half_chroma(88, second, 30, down_in_planes)
    assert is_by_plane(words, replace(HALVES, subsampled=True, planar=planar)) is by_plane


@pytest.mark.parametrize("planar", [False, True])
def test_a_few_pixels_of_half_chroma_lie_by_pixel(planar: bool) -> None:
    """PlanarConfiguration means nothing to them."""
    few = replace(HALVES, rows=15, subsampled=True, planar=planar)
    assert is_by_plane(planes(10, 64), few) is False
