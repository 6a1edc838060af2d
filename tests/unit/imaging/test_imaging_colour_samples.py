"""Which pixels decide about the label of colours, and how many of them."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from imaging import tags
from imaging.colour import RGB, YBR
from imaging.pixel_layout import PixelLayout
from imaging.refuted_colours import refuted_label
from imaging.sample_order import grey_shares, is_by_plane

Pixels = np.ndarray[Any, Any]
GREY_AS_YBR, COLOUR, GREY_AS_RGB = (90, 128, 128), (200, 60, 20), (90, 90, 90)
EVERY_SIXTH = slice(3, None, 6)
"""Of 96 pixels, 16 are looked at first."""


def picture(side: int, colour: tuple[int, int, int] = GREY_AS_YBR) -> Pixels:
    return np.full((side, side, 3), colour, np.uint8)


def with_shades(pixels: Pixels) -> Pixels:
    """Return the picture with more luminance in each column, from black to grey."""
    grey = (pixels == GREY_AS_YBR).all(axis=-1)
    shades = np.broadcast_to(2 * (np.arange(pixels.shape[1]) % 48), grey.shape)
    return np.where(grey[..., None] & (np.arange(3) == 0), shades[..., None], pixels).astype(np.uint8)


def layout(bits: int) -> PixelLayout:
    """Return the layout of two rows of two colour pixels."""
    fixed = {"frames": 1, "samples": 3, "photometric": RGB, "planar": False, "signed": False}
    size = {"bits_allocated": 16, "bits_stored": bits, "high_bit": bits - 1}
    return PixelLayout(rows=2, columns=2, pixel_tag=tags.PIXEL_DATA, **fixed, **size)  # type: ignore[arg-type]


@pytest.mark.parametrize(("more", "label"), [(0, ""), (1, YBR)])
def test_more_than_half_of_the_pixels_must_be_grey_as_ybr(more: int, label: str) -> None:
    """Half of them are in squares of six pixels, of which each has one of the 256 pixels that are looked at first."""
    pixels = picture(96, COLOUR)
    square = np.add.outer(np.arange(96) // 6, np.arange(96) // 6)
    pixels[square % 2 == 0] = GREY_AS_YBR
    pixels[:6, 6 : 6 + 6 * more] = GREY_AS_YBR
    assert refuted_label(with_shades(pixels), RGB, 8) == label


@pytest.mark.parametrize(("columns", "label"), [(1, YBR), (2, "")])
def test_few_pixels_are_grey_as_rgb(columns: int, label: str) -> None:
    """One column of 96 is about 1 %, two are more than 2 %."""
    pixels = picture(96)
    pixels[:, :columns] = GREY_AS_RGB
    assert refuted_label(with_shades(pixels), RGB, 8) == label


def test_the_first_look_is_at_every_sixth_pixel() -> None:
    """If these pixels allow the label, the others are not looked at."""
    pixels = picture(96)
    pixels[EVERY_SIXTH, EVERY_SIXTH] = COLOUR
    assert refuted_label(with_shades(pixels), RGB, 8) == ""
    assert refuted_label(with_shades(picture(96)), RGB, 8) == YBR


@pytest.mark.parametrize(("side", "label"), [(96, ""), (97, YBR)])
def test_the_second_look_is_at_96_rows_and_columns(side: int, label: str) -> None:
    """In a larger picture, at every second pixel, from the second one on: only these are grey here."""
    pixels = picture(side, COLOUR)
    pixels[1::2, 1::2] = GREY_AS_YBR
    step = -(-side // 16)
    pixels[step // 2 :: step, step // 2 :: step] = GREY_AS_YBR
    assert refuted_label(with_shades(pixels), RGB, 8) == label


@pytest.mark.parametrize(("low", "high", "label"), [(12, 239, ""), (11, 239, YBR), (12, 240, YBR)])
@pytest.mark.parametrize("bits", [8, 12])
def test_the_luminance_of_ybr_partial(low: int, high: int, label: str, bits: int) -> None:
    """It reaches from 16 to 235 (PS3.3 C.7.6.3.1.2), and compression may change it a little."""
    unit = 1 << bits - 8
    pixels = picture(96).astype(np.uint16) * unit
    pixels[:48, :, 0], pixels[48:, :, 0] = low * unit, high * unit
    assert refuted_label(pixels, "YBR_PARTIAL_422", bits) == label


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("by_plane", [False, True])
def test_the_order_of_samples_without_any_grey(planar: bool, by_plane: bool) -> None:
    """If no pixel is grey in either order, the smoother one is right, whatever the header says."""
    ramp = np.tile(4 * np.arange(60), (40, 1))
    colours = np.stack([ramp, 236 - ramp, 255 - np.abs(ramp - 118)], axis=-1).astype(np.uint16)
    words = np.ascontiguousarray(np.moveaxis(colours, -1, 0) if by_plane else colours).reshape(-1)
    assert is_by_plane(words, replace(layout(8), rows=40, columns=60, planar=planar)) is by_plane


@pytest.mark.parametrize(("bits", "difference"), [(6, 1), (8, 2), (12, 32)])
def test_samples_of_grey_pixels_differ_little(bits: int, difference: int) -> None:
    """By two of 256 values, or as much of a wider range."""
    for off, share in ((difference, 1.0), (difference + 1, 0.5)):
        words = np.array([10, 10, 10, 50, 50 + off, 50] * 2, np.uint16)
        assert grey_shares(words, layout(bits))[0] == share


ROWS, COLUMNS = 63, 96
DOWN, ACROSS = np.mgrid[0:ROWS, 0:COLUMNS]
RANDOM = np.random.default_rng(8)
LARGE = replace(layout(8), rows=ROWS, columns=COLUMNS, bits_allocated=8)
TINT = np.array([12, 4, 0])
NOISE = RANDOM.normal(128, 30, (ROWS, COLUMNS, 1))


def in_file_order(picture: Pixels, by_plane: bool) -> Pixels:
    """Return the samples of a picture of shape (rows, columns, 3) as they lie in the file."""
    samples = np.clip(picture, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.moveaxis(samples, -1, 0) if by_plane else samples).reshape(-1)


@pytest.mark.parametrize("by_plane", [False, True])
@pytest.mark.parametrize(
    "picture",
    [
        pytest.param(NOISE + TINT, id="noise with a tint"),
        pytest.param(np.where(ACROSS[..., None] < 60, 0, NOISE) + TINT, id="noise on dark blue"),
        pytest.param(np.where(DOWN % 4 < 2, 60, 180)[..., None] + TINT + NOISE / 8, id="lines with a tint"),
        pytest.param(np.where(DOWN % 4 < 2, 60, 180)[..., None] + TINT / 4 + NOISE / 3, id="noisy lines"),
        pytest.param((DOWN + ACROSS)[..., None] % 2 * np.array([255, 255, 0]), id="yellow squares"),
        pytest.param(np.repeat(RANDOM.integers(0, 256, (1, COLUMNS, 3)), ROWS, axis=0), id="columns of any colour"),
        pytest.param(np.repeat(RANDOM.integers(0, 256, (ROWS, 1, 3)), COLUMNS, axis=1), id="rows of any colour"),
    ],
)
def test_patterns_with_a_tint_refute_no_order(picture: Pixels, by_plane: bool) -> None:
    """Hardly any of their pixels are grey, and samples of one pixel may differ less than neighbours."""
    assert is_by_plane(in_file_order(picture, by_plane), replace(LARGE, planar=by_plane)) is by_plane


@pytest.mark.parametrize("planar", [False, True])
def test_the_same_noise_in_all_colours_tells_the_order(planar: bool) -> None:
    """Grey speckle is as rough in one order as in the other, but only one order makes it grey."""
    by_plane = not planar
    speckle = np.repeat(RANDOM.rayleigh(40, (ROWS, COLUMNS, 1)), 3, axis=2)
    assert is_by_plane(in_file_order(speckle, by_plane), replace(LARGE, planar=planar)) is by_plane


@pytest.mark.parametrize("planar", [False, True])
def test_a_smooth_picture_with_a_tint_tells_the_order(planar: bool) -> None:
    """It has no grey, and in the wrong order its neighbours are three pixels or three rows apart."""
    smooth = 120 + 80 * np.sin(DOWN / 9) * np.cos(ACROSS / 11)
    by_plane = not planar
    samples = in_file_order(smooth[..., None] + TINT, by_plane)
    assert is_by_plane(samples, replace(LARGE, planar=planar)) is by_plane


@pytest.mark.parametrize("planar", [False, True])
def test_columns_in_half_chroma_refute_no_order(planar: bool) -> None:
    """Each two pixels have the same brightness, and the next two another one."""
    luminance = np.where(ACROSS // 2 % 2, 228, 28)
    words = np.stack([luminance[:, ::2], luminance[:, 1::2], *[np.full((ROWS, COLUMNS // 2), 128)] * 2], axis=-1)
    halves = replace(LARGE, photometric="YBR_FULL_422", subsampled=True, planar=planar)
    assert is_by_plane(words.astype(np.uint8).reshape(-1), halves) is False


@pytest.mark.parametrize("shades", [7, 8])
def test_a_picture_called_rgb_needs_many_shades_to_be_ybr(shades: int) -> None:
    """An area of teal in a screenshot has one or two."""
    pixels = picture(96)
    pixels[..., 0] = 4 * (np.arange(96) % shades)
    assert refuted_label(pixels, RGB, 8) == ("" if shades < 8 else YBR)


@pytest.mark.parametrize(("filled", "label"), [(60, ""), (94, ""), (95, RGB), (96, RGB)])
def test_zeros_around_a_picture_in_ybr(filled: int, label: str) -> None:
    """They are black in RGB and green in YBR; only a picture of hardly anything else is taken for RGB."""
    pixels = picture(96)
    pixels[:filled] = 0
    assert refuted_label(pixels, YBR, 8) == label
