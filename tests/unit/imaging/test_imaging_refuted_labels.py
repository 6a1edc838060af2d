"""Labels of colours: pictures of a few colours, in which one condition decides."""

from dataclasses import replace

import numpy as np
import pytest
from layouts import colour_layout
from test_imaging_colour_samples import GREY_AS_YBR, Pixels, picture, with_shades

from imaging.colour import RGB, YBR
from imaging.refuted_colours import checked_to_rgb, refuted_label
from imaging.tags import FLOAT_PIXEL_DATA

PARTIAL = "YBR_PARTIAL_422"


def parts(*colours: tuple[int, tuple[int, int, int]]) -> Pixels:
    """Return 96 columns: so many of each colour."""
    row = np.concatenate([np.full((number, 3), colour, np.uint8) for number, colour in colours])
    return np.tile(row, (96, 1, 1))


@pytest.mark.parametrize(("rows", "label"), [([3], ""), ([0, 1, 2], ""), ([2, 3], YBR), ([1, 2, 3], YBR), ([2, 4], "")])
def test_two_percent_of_the_rows_are_too_bright_for_ybr_partial(rows: list[int], label: str) -> None:
    """Two of 96, of which one must be among the 16 that are looked at first: every sixth, from row 3 on."""
    pixels = picture(96)
    pixels[rows, :, 0] = 250
    assert refuted_label(pixels, PARTIAL, 8) == label


@pytest.mark.parametrize("label", [YBR, PARTIAL])
def test_bright_greys_are_no_colours_of_ybr(label: str) -> None:
    """Three samples of 200: read as YBR, red is 301. Read so, 90 exists, and 230, 50, 20 has a green of 334."""
    assert refuted_label(picture(96, (200, 200, 200)), label, 8) == RGB
    assert refuted_label(picture(96, (90, 90, 90)), label, 8) == ""
    assert refuted_label(picture(96, (230, 50, 20)), label, 8) == ""


def test_black_in_ybr_is_not_filled() -> None:
    """Its chroma is not zero: with it, more pixels are grey as YBR than as RGB."""
    bright, black = (200, 200, 200), (0, 128, 128)
    assert refuted_label(parts((36, bright), (60, black)), YBR, 8) == ""
    assert refuted_label(parts((60, bright), (36, black)), YBR, 8) == RGB


@pytest.mark.parametrize(("step", "label"), [(2, ""), (4, YBR)])
def test_shades_are_64_of_the_range(step: int, label: str) -> None:
    """Eight values of luminance in steps of two are four shades."""
    pixels = picture(96)
    pixels[..., 0] = step * (np.arange(96) % 8)
    assert refuted_label(pixels, RGB, 8) == label


def test_a_label_that_was_decided_stays() -> None:
    """Floats are no colours at all, and stay as they are too."""
    pixels, layout = with_shades(picture(96, GREY_AS_YBR)), colour_layout(RGB)
    assert "look like YBR_FULL" in checked_to_rgb(pixels, layout)[1]
    stored, note = checked_to_rgb(pixels, replace(layout, label_decided=True))
    assert (np.array_equal(stored, pixels), note) == (True, "")
    stored, note = checked_to_rgb(pixels.astype(np.float32), replace(layout, pixel_tag=FLOAT_PIXEL_DATA))
    assert (np.array_equal(stored, pixels), note) == (True, "")
