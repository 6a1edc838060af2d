"""Slices are arranged by where they lie, and what is no part of a stack is left out and listed."""

import math
import random

import pytest
from slice_stacks import AXIAL_PLANE, CORONAL_PLANE, SAGITTAL_PLANE, heights, one_slice, stack

from imaging.series.arrange import arrange
from imaging.series.rules import EVERY_SERIES, SeriesRefusal, SeriesRules
from imaging.series.series_order import LeftOutReason, SeriesOrder, SliceGap, SliceStack, StackFinding
from imaging.series.slice_geometry import SliceGeometry

TEN = [3.0 * index for index in range(10)]


def only_stack(order: SeriesOrder) -> SliceStack:
    (found,) = order.stacks
    return found


def test_the_order_is_that_of_the_positions_and_not_of_the_numbers() -> None:
    """Many devices number a head scan from the top; others number it at random."""
    downwards = stack(reversed(TEN))
    random.Random(1).shuffle(downwards)
    found = only_stack(arrange(downwards))
    assert heights(found.slices) == TEN
    assert found.positions_mm == tuple(TEN)
    assert [piece.instance_number for piece in found.slices] == list(range(10, 0, -1))
    assert (found.spacing_mm, found.spacing_range_mm, found.tilt_degrees) == (3.0, (3.0, 3.0), 0.0)
    assert (found.findings, found.gaps, found.refusal) == ((), (), None)


def test_rows_and_columns_the_other_way_round_do_not_turn_the_order_round() -> None:
    """The order is anatomical: foot to head, whichever way the image is written."""
    flipped = stack(TEN, orientation=(1.0, 0.0, 0.0, 0.0, -1.0, 0.0))
    assert heights(only_stack(arrange(flipped)).slices) == TEN


@pytest.mark.parametrize(
    ("plane", "axis", "name"),
    [(AXIAL_PLANE, 2, "axial"), (CORONAL_PLANE, 1, "coronal"), (SAGITTAL_PLANE, 0, "sagittal")],
    ids=["axial", "coronal", "sagittal"],
)
def test_the_orientation_is_named_and_ascends_along_its_axis(plane: tuple[float, ...], axis: int, name: str) -> None:
    """The axes of LPS: to the left, to the back, to the head."""
    slices = [
        one_slice(
            index, 0, orientation=plane, position=tuple(4.0 * index if each == axis else 0.0 for each in range(3))
        )
        for index in (3, 1, 2)
    ]
    found = only_stack(arrange(slices))
    assert found.orientation == name
    assert [piece.key for piece in found.slices] == [1, 2, 3]


def test_a_plane_between_the_axes_is_oblique() -> None:
    """At 45 degrees no axis is near."""
    half = math.sqrt(0.5)
    found = only_stack(arrange(stack(TEN, orientation=(1.0, 0.0, 0.0, 0.0, half, half))))
    assert found.orientation == "oblique"


def test_gaps_are_reported_with_the_number_of_missing_slices() -> None:
    """Two slices are missing after the third."""
    found = only_stack(arrange(stack([0, 3, 6, 15, 18, 21])))
    assert found.findings == (StackFinding.GAP,)
    assert found.gaps == (SliceGap(after=2, distance_mm=9.0, missing=2),)
    assert found.spacing_range_mm == (3.0, 9.0)


def test_irregular_spacing_is_no_gap() -> None:
    """Thin slices at the base of the skull and thick ones above: the distance changes within the stack."""
    found = only_stack(arrange(stack([0, 3, 6, 9, 12, 16, 20])))
    assert found.findings == (StackFinding.IRREGULAR_SPACING,)
    assert found.gaps == ()
    assert found.spacing_range_mm == (3.0, 4.0)


def test_rounded_positions_are_regular() -> None:
    """Positions in tenths of a millimetre of slices that are 0.625 mm apart."""
    found = only_stack(arrange(stack([round(0.625 * index, 1) for index in range(40)])))
    assert StackFinding.GAP not in found.findings
    assert found.spacing_mm == pytest.approx(0.6, abs=0.1)


def test_a_tilted_gantry_is_reported_in_degrees() -> None:
    """The table moves along z, the slices stand 20 degrees off: their first pixels are shifted within the plane."""
    cosine, sine = math.cos(math.radians(20)), math.sin(math.radians(20))
    found = only_stack(arrange(stack(TEN, orientation=(1.0, 0.0, 0.0, 0.0, cosine, -sine))))
    assert found.findings == (StackFinding.GANTRY_TILT,)
    assert found.tilt_degrees == pytest.approx(20)
    assert found.spacing_mm == pytest.approx(3 * cosine, abs=0.001)
    assert found.orientation == "axial"


def test_mixed_matrices_and_pixel_spacings_are_reported() -> None:
    """A slice that was reconstructed again with another matrix stays in its place."""
    slices = [*stack(TEN[:4]), one_slice(5, 12.0, rows=256, columns=256, pixel_spacing=(1.0, 1.0))]
    found = only_stack(arrange(slices))
    assert found.findings == (StackFinding.MIXED_SIZES, StackFinding.MIXED_PIXEL_SPACING)
    assert found.sizes == ((512, 512), (256, 256))


def test_localizers_are_left_out_by_their_mark_or_because_they_lie_across() -> None:
    """Some devices send the scout within the series, with or without LOCALIZER in Image Type."""
    marked = one_slice(50, 0, image_type="ORIGINAL\\PRIMARY\\LOCALIZER")
    unmarked = one_slice(51, 0, orientation=CORONAL_PLANE)
    order = arrange([marked, unmarked, *stack(TEN, image_type="ORIGINAL\\PRIMARY\\AXIAL")])
    assert len(only_stack(order)) == 10
    assert {each.slice.key: each.reason for each in order.left_out} == {
        50: LeftOutReason.LOCALIZER,
        51: LeftOutReason.OTHER_ORIENTATION,
    }


def test_stacks_of_several_orientations_stay() -> None:
    """Five sagittal slices beside ten axial ones are no localizer."""
    sagittal = [
        one_slice(20 + index, 0, orientation=SAGITTAL_PLANE, position=(5.0 * index, 0.0, 0.0)) for index in range(5)
    ]
    order = arrange([*sagittal, *stack(TEN)])
    assert [(found.orientation, len(found)) for found in order.stacks] == [("axial", 10), ("sagittal", 5)]
    assert order.left_out == ()


def test_of_duplicates_the_one_with_the_highest_key_stays() -> None:
    """An object that was sent again, and a copy under another UID: same number, same place."""
    again = one_slice(30, 3.0, sop_instance_uid="1.2.3.2", instance_number=2)
    copy = one_slice(31, 6.0, instance_number=3)
    order = arrange([again, copy, *stack(TEN)])
    assert heights(only_stack(order).slices) == TEN
    assert {each.slice.key: each.reason for each in order.left_out} == {
        2: LeftOutReason.DUPLICATE,
        3: LeftOutReason.DUPLICATE,
    }


def test_slices_without_a_place_are_left_out() -> None:
    """No position; no orientation; rows and columns in one direction; a direction of no length."""
    faulty = [
        one_slice(21, 0, position=None),
        one_slice(22, 0, orientation=None),
        one_slice(23, 0, orientation=(1.0, 0.0, 0.0, 1.0, 0.0, 0.0)),
        one_slice(24, 0, orientation=(0.0, 0.0, 0.0, 0.0, 1.0, 0.0)),
    ]
    order = arrange([*faulty, *stack(TEN)])
    assert len(only_stack(order)) == 10
    assert {each.slice.key for each in order.left_out} == {21, 22, 23, 24}
    assert {each.reason for each in order.left_out} == {LeftOutReason.NO_GEOMETRY}
    refused = arrange(faulty)
    assert (refused.stacks, refused.accepted, refused.refusal) == ((), (), SeriesRefusal.NO_GEOMETRY)


def test_an_empty_series_is_refused() -> None:
    """All of its objects may have been rejected."""
    assert arrange([]).refusal is SeriesRefusal.NO_GEOMETRY


@pytest.mark.parametrize(
    ("rules", "refusal"),
    [
        (EVERY_SERIES, None),
        (SeriesRules(minimum_slices=10, spacing_mm=(1.0, 3.0), orientation="axial"), None),
        (SeriesRules(minimum_slices=11), SeriesRefusal.TOO_FEW_SLICES),
        (SeriesRules(spacing_mm=(0.5, 2.0)), SeriesRefusal.SLICE_SPACING),
        (SeriesRules(spacing_mm=(3.5, 5.0)), SeriesRefusal.SLICE_SPACING),
        (SeriesRules(orientation="coronal"), SeriesRefusal.SLICE_ORIENTATION),
    ],
    ids=["every", "just met", "too few", "too wide", "too narrow", "orientation"],
)
def test_the_rules_of_a_bundle_admit_a_stack(rules: SeriesRules, refusal: SeriesRefusal | None) -> None:
    """Ten axial slices, 3 mm apart."""
    order = arrange(stack(TEN), rules)
    assert order.refusal is refusal
    assert only_stack(order).refusal is refusal
    assert len(order.accepted) == (refusal is None)


def test_rules_survive_json_and_impossible_ones_are_refused() -> None:
    """They are part of bundle.json."""
    rules = SeriesRules(minimum_slices=20, spacing_mm=(0.5, 5.0), orientation="sagittal")
    assert SeriesRules.from_json(rules.to_json()) == rules
    assert SeriesRules.from_json(EVERY_SERIES.to_json()) == EVERY_SERIES
    for wrong in ({"orientation": "oblique"}, {"minimum_slices": 0}, {"spacing_mm": (2.0, 1.0)}):
        with pytest.raises(ValueError, match="SeriesRules"):
            SeriesRules(**wrong)  # type: ignore[arg-type]


def test_a_slice_survives_json() -> None:
    """The database stores it so."""
    piece = one_slice(7, 3.0, echo_time=30.0, gradient_direction=(0.0, 0.6, 0.8))
    assert SliceGeometry.from_json(piece.to_json()) == piece
    assert SliceGeometry.from_json(SliceGeometry(key=1).to_json()) == SliceGeometry(key=1)


def test_five_thousand_slices_are_arranged() -> None:
    """A whole body in half millimetres."""
    found = only_stack(arrange(stack(0.5 * index for index in range(5000))))
    assert len(found) == 5000
    assert found.spacing_mm == 0.5
