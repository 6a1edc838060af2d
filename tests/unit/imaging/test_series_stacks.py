"""The stacks of one series are told apart by what their slices show, or the series is ambiguous."""

from typing import Any

import pytest
from slice_stacks import heights, stack

from imaging.series.arrange import arrange
from imaging.series.rules import SeriesRefusal, SeriesRules
from imaging.series.series_order import LeftOutReason
from imaging.series.slice_geometry import StackAttributes

TEN = [3.0 * index for index in range(10)]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("acquisition_number", (1, 2)),
        ("temporal_position", (1, 2)),
        ("echo_number", (1, 2)),
        ("echo_time", (12.0, 90.0)),
        ("b_value", (0.0, 1000.0)),
        ("contrast", (None, "IODINE")),
        ("image_type", ("ORIGINAL\\PRIMARY\\M", "ORIGINAL\\PRIMARY\\P")),
        ("stack_id", ("1", "2")),
        ("trigger_time", (0.0, 40.0)),
        ("gradient_direction", ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))),
    ],
)
def test_stacks_at_the_same_places_are_told_apart(name: str, values: tuple[Any, Any]) -> None:
    """Each attribute alone is enough, and says which stack is which."""
    first, second = values
    slices = [*stack(TEN, **{name: first}), *stack(TEN, first_key=11, **{name: second})]
    order = arrange(slices)
    assert order.refusal is None
    assert [heights(found.slices) for found in order.stacks] == [TEN, TEN]
    expected = [StackAttributes()._replace(**{name: value}) for value in values]
    assert [found.told_apart_by for found in order.stacks] == expected


def test_echoes_between_each_other_are_told_apart_although_no_position_is_shared() -> None:
    """A stack that is sorted through both would change its contrast from slice to slice."""
    shifted = stack([height + 1.5 for height in TEN], first_key=11, echo_time=90.0)
    assert len(arrange([*stack(TEN, echo_time=12.0), *shifted]).stacks) == 2


def test_an_interleaved_acquisition_is_one_stack() -> None:
    """Odd slices first, then even ones: another number of acquisition, the same contrast, no shared position."""
    odd, even = (
        stack(TEN, acquisition_number=1),
        stack([height + 1.5 for height in TEN], first_key=11, acquisition_number=2),
    )
    (found,) = arrange([*odd, *even]).stacks
    assert len(found) == 20
    assert found.spacing_mm == 1.5
    assert found.told_apart_by == StackAttributes()


@pytest.mark.parametrize("name", ["acquisition_number", "temporal_position", "trigger_time", "echo_time"])
def test_a_value_that_is_counted_from_slice_to_slice_tells_no_stacks_apart(name: str) -> None:
    """Some devices give each slice its own number."""
    slices = [stack([height], first_key=index + 1, **{name: index})[0] for index, height in enumerate(TEN)]
    (found,) = arrange(slices).stacks
    assert len(found) == 10


def test_acquisitions_on_top_of_each_other_are_one_stack() -> None:
    """The base of the skull and the brain above it, which were scanned one after the other."""
    lower, upper = stack(TEN, contrast=None), stack([height + 30 for height in TEN], first_key=11, contrast="IODINE")
    (found,) = arrange([*lower, *upper]).stacks
    assert len(found) == 20


def test_all_attributes_together_are_tried_last() -> None:
    """Two acquisitions of two directions: neither number tells all four apart."""
    slices = [
        piece
        for index, (acquisition, time) in enumerate([(1, 0.0), (1, 40.0), (2, 0.0), (2, 40.0)])
        for piece in stack(TEN, first_key=1 + 10 * index, acquisition_number=acquisition, trigger_time=time)
    ]
    order = arrange(slices)
    assert order.refusal is None
    assert [len(found) for found in order.stacks] == [10] * 4


def test_stacks_that_nothing_tells_apart_are_ambiguous() -> None:
    """Two slices at each place, with other numbers and UIDs: no order would be right."""
    order = arrange([*stack(TEN), *stack(TEN, first_key=11)])
    assert order.refusal is SeriesRefusal.AMBIGUOUS_SERIES
    assert order.accepted == ()
    assert order.stacks[0].gaps == ()
    assert len(order.stacks[0]) == 20


def test_one_ambiguous_stack_makes_the_series_ambiguous() -> None:
    """A result from the other stack alone would look like that of the series."""
    twice = [*stack(TEN, echo_number=2), *stack(TEN, first_key=11, echo_number=2)]
    order = arrange([*twice, *stack(TEN, first_key=21, echo_number=1)])
    assert order.refusal is SeriesRefusal.AMBIGUOUS_SERIES
    assert [len(found) for found in order.stacks] == [20, 10]


def test_a_time_series_of_one_slice_is_told_apart() -> None:
    """Five times the same place."""
    slices = [stack([0.0], first_key=index, temporal_position=index)[0] for index in range(1, 6)]
    order = arrange(slices)
    assert order.refusal is None
    assert len(order.stacks) == 5


def test_a_series_with_one_admitted_stack_has_a_result() -> None:
    """A short repetition is refused by the rules; the whole stack is not."""
    slices = [*stack(TEN, acquisition_number=1), *stack(TEN[:2], first_key=11, acquisition_number=2)]
    order = arrange(slices, SeriesRules(minimum_slices=5))
    assert order.refusal is None
    assert [len(found) for found in order.accepted] == [10]
    assert [found.refusal for found in order.stacks] == [None, SeriesRefusal.TOO_FEW_SLICES]


def test_the_result_does_not_depend_on_the_order_of_arrival() -> None:
    """Slices arrive in any order."""
    slices = [*stack(TEN, echo_time=12.0), *stack(TEN, first_key=11, echo_time=90.0), *stack([3.0], first_key=40)]
    assert arrange(slices) == arrange(reversed(slices))


def test_a_copy_of_a_slice_is_left_out_only_within_its_stack() -> None:
    """Two echoes may use the same Instance Numbers."""
    first, second = stack(TEN, echo_number=1), stack(TEN, echo_number=2)
    renamed = [piece._replace(sop_instance_uid=f"1.2.4.{piece.key}", key=piece.key + 100) for piece in second]
    order = arrange([*first, *renamed])
    assert [len(found) for found in order.stacks] == [10, 10]
    assert LeftOutReason.DUPLICATE not in {each.reason for each in order.left_out}
