"""Regions of a heat map: where they lie in the image, for each way of fitting an image into the input."""

import numpy as np
import pytest

from imaging.prepare import placement
from imaging.spec import InputSpec, Intensity
from models.explanations.regions import MOST_REGIONS, Polygon, heat_on_image, outline


def spec(aspect: str, height: int = 64, width: int = 64) -> InputSpec:
    """Return an input of this size."""
    return InputSpec(height=height, width=width, channels=1, intensity=Intensity(kind="full"), aspect=aspect)


def spot(row: float, column: float, *, size: int = 64, radius: float = 6.0) -> np.ndarray:
    """Return a heat map with one round spot, whose highest value is 1."""
    down, across = np.mgrid[:size, :size] + 0.5
    heat = np.exp(-((down - row) ** 2 + (across - column) ** 2) / (2 * radius**2))
    return np.asarray(heat / heat.max(), np.float32)


def middle(polygon: Polygon) -> tuple[float, float]:
    """Return column and row of the middle of a polygon's bounding box."""
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    return float((low + high)[0] / 2), float((low + high)[1] / 2)


@pytest.mark.parametrize(
    ("aspect", "rows", "columns", "row", "expected"),
    [
        ("stretch", 128, 256, 16, (48 * 4, 16 * 2)),
        ("pad", 128, 256, 24, (48 * 4, (24 - 16) * 4)),  # the image fills rows 16 to 48 of the input
        ("crop", 128, 256, 16, (64 + 48 * 2, 16 * 2)),  # columns 64 to 192 of the image fill the input
        ("pad", 64, 64, 16, (48, 16)),
    ],
)
def test_a_region_lies_where_the_network_saw_it(
    aspect: str, rows: int, columns: int, row: int, expected: tuple[float, float]
) -> None:
    """Columns and rows of the image are those of the input, moved back as `prepare` moved them."""
    (polygon,) = outline(spot(row=row, column=48), spec(aspect), rows, columns)
    assert middle(polygon) == pytest.approx(expected, abs=2.5)
    assert polygon.min() >= 0
    assert (polygon.max(axis=0) <= (columns, rows)).all()


def test_a_region_has_the_width_at_half_of_the_peak() -> None:
    """A Gaussian of this radius has half of its peak at 1.177 radii."""
    (polygon,) = outline(spot(32, 32), spec("stretch"), 64, 64)
    width = np.ptp(polygon[:, 0])
    assert width == pytest.approx(2 * 1.177 * 6, abs=0.5)


def test_regions_are_listed_by_size() -> None:
    """Small remains beside a large region are left out, and no more than five regions are listed."""
    heat = np.maximum.reduce([spot(12, 12, radius=6), spot(50, 50, radius=4), spot(12, 50, radius=1.2)])
    found = outline(heat, spec("stretch"), 64, 64)
    assert [middle(polygon) for polygon in found] == [pytest.approx((12, 12), abs=1), pytest.approx((50, 50), abs=1)]

    many = np.maximum.reduce([spot(8 + 16 * i, 8 + 16 * j, radius=2.0) for i in range(4) for j in range(4)])
    assert len(outline(many, spec("stretch"), 64, 64)) == MOST_REGIONS


def test_no_evidence_has_no_region() -> None:
    """A heat map of zeros comes from a network whose evidence speaks against the label everywhere."""
    assert outline(np.zeros((64, 64), np.float32), spec("stretch"), 64, 64) == []


def test_a_region_in_the_padding_is_no_region_of_the_image() -> None:
    """It is moved to the edge, where nothing of it is left."""
    assert outline(spot(3, 32, radius=2), spec("pad"), 128, 256) == []


def test_the_heat_of_the_image_is_zero_where_the_network_did_not_look() -> None:
    """A cropped image has margins that the network never saw."""
    heat = heat_on_image(np.ones((64, 64), np.float32), spec("crop"), 128, 256)
    assert heat.shape == (128, 256)
    assert heat[:, 64:192].min() == 1
    assert heat[:, :64].max() == heat[:, 192:].max() == 0


def test_the_placement_names_whole_pixels() -> None:
    """The part of the image and the part of the input, as slices."""
    padded = placement(128, 256, spec("pad"))
    assert padded == ((slice(0, 128), slice(0, 256)), (slice(16, 48), slice(0, 64)))
    assert placement(128, 256, spec("crop")).source == (slice(0, 128), slice(64, 192))
    assert placement(1, 10_000, spec("pad")).target == (slice(31, 32), slice(0, 64))
