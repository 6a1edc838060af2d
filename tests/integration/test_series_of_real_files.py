"""Real series of ../shared/data are arranged as their makers meant them, or are called ambiguous."""

import pytest
import skip_reasons
from skip_reasons import SHARED_DATA

from imaging.header import read_header
from imaging.limits import DEFAULT_LIMITS
from imaging.read import read
from imaging.series.arrange import arrange
from imaging.series.read_slices import read_slices
from imaging.series.rules import SeriesRefusal
from imaging.series.series_order import LeftOutReason
from imaging.series.slice_geometry import SliceGeometry

DATA = SHARED_DATA / "dicom"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=skip_reasons.NO_SHARED_DATA)


def slices_of(pattern: str) -> list[SliceGeometry]:
    slices: list[SliceGeometry] = []
    for key, path in enumerate(sorted(DATA.glob(pattern))):
        image = read(path.read_bytes())
        assert image.elements is not None
        slices += read_slices(image.elements, frames=image.frame_count, key=key)
    return slices


def test_a_field_map_beside_its_magnitude_is_ambiguous() -> None:
    """A series of GE: Instance Numbers 1 to 16 are a field map, 17 to 32 the magnitude; only private tags say so."""
    order = arrange(slices_of("series_mr_ge/*"))
    assert order.refusal is SeriesRefusal.AMBIGUOUS_SERIES
    assert order.left_out == ()


@pytest.mark.parametrize(("first", "last"), [(1, 16), (17, 32)], ids=["field map", "magnitude"])
def test_each_half_of_it_is_a_stack_from_foot_to_head(first: int, last: int) -> None:
    """The device numbers from the head: the order is the reverse of the numbers. The data lack some slices."""
    half = [piece for piece in slices_of("series_mr_ge/*") if first <= (piece.instance_number or 0) <= last]
    order = arrange(half)
    assert order.refusal is None
    (stack,) = order.stacks
    numbers = [piece.instance_number for piece in stack.slices]
    assert numbers == sorted(numbers, key=lambda number: -(number or 0))
    assert stack.orientation == "axial"
    assert all(gap.distance_mm % 9 == pytest.approx(0, abs=0.01) for gap in stack.gaps)


def test_copies_in_several_encodings_are_duplicates() -> None:
    """Three files with the same SOP Instance UID, each with two frames 10 mm apart."""
    order = arrange(slices_of("dicomParser/CT0012*"))
    (stack,) = order.stacks
    assert (len(stack), stack.spacing_mm, stack.orientation) == (2, 10.0, "axial")
    assert [each.reason for each in order.left_out] == [LeftOutReason.DUPLICATE] * 4


@pytest.mark.parametrize("name", ["liver_deflate.dcm", "liver_nonbyte_aligned.dcm"])
def test_frames_of_a_segmentation_lie_by_their_functional_groups(name: str) -> None:
    """Three slices of 1 mm."""
    (path,) = DATA.glob(f"pydicom-data/{name}")  # one of them has deflated frames, which cannot be read
    slices = read_slices(read_header(path.read_bytes(), DEFAULT_LIMITS).elements, frames=3)
    (stack,) = arrange(slices).stacks
    assert (len(stack), stack.spacing_mm) == (3, 1.0)
