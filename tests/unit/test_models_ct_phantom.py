"""Synthetic CT series: the truth is in the pixels, and each habit of a device gives what `arrange` must find."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cli.models.phantom_series import phantom_series_command
from imaging.read import read
from imaging.series.arrange import arrange
from imaging.series.read_slices import read_slices
from imaging.series.rules import SeriesRefusal
from imaging.series.series_order import LeftOutReason, SeriesOrder, SliceStack, StackFinding
from models.datasets.label_table import SERIES, UID, read_label_table
from models.phantoms.ct_habits import SeriesHabit
from models.phantoms.ct_series import (
    CtSeries,
    CtStyle,
    ct_series,
    write_ct_series,
    write_series_labels,
    write_slice_labels,
)
from models.phantoms.ct_volume import draw_ct
from nightread.errors import UsageFault

SEED = 3


def series_of(habit: SeriesHabit) -> CtSeries:
    return ct_series(seed=SEED, index=4, style=CtStyle(habit=habit))


def order_of(series: CtSeries) -> SeriesOrder:
    slices = []
    for key, file in enumerate(series.files):
        elements = read(file.content).elements
        assert elements is not None
        slices += read_slices(elements, key=key)
    return arrange(slices)


def heights(stack: SliceStack) -> list[float]:
    return [piece.position[2] for piece in stack.slices if piece.position is not None]


@pytest.mark.parametrize("habit", [habit for habit in SeriesHabit if habit is not SeriesHabit.GAP])
def test_each_stack_is_found_in_order(habit: SeriesHabit) -> None:
    """However a device numbers, doubles or tilts its slices: all 24 from foot to head."""
    order = order_of(series_of(habit))
    if habit is SeriesHabit.AMBIGUOUS:
        assert order.refusal is SeriesRefusal.AMBIGUOUS_SERIES
        return
    assert order.refusal is None
    assert len(order.stacks) == (2 if habit is SeriesHabit.TWO_STACKS else 1)
    for stack in order.stacks:
        assert heights(stack) == [5.0 * index for index in range(24)]
        assert stack.findings == ((StackFinding.GANTRY_TILT,) if habit is SeriesHabit.TILTED else ())


@pytest.mark.parametrize(
    ("habit", "left_out"),
    [
        (SeriesHabit.LOCALIZER, [LeftOutReason.LOCALIZER]),
        (SeriesHabit.UNMARKED_SCOUT, [LeftOutReason.OTHER_ORIENTATION]),
        (SeriesHabit.DUPLICATES, [LeftOutReason.DUPLICATE] * 3),
        (SeriesHabit.TWO_STACKS, []),
    ],
)
def test_what_is_no_part_of_a_stack_is_listed(habit: SeriesHabit, left_out: list[LeftOutReason]) -> None:
    """With its reason."""
    assert [each.reason for each in order_of(series_of(habit)).left_out] == left_out


def test_a_gap_hides_no_nodule() -> None:
    """Two slices are missing, and the slices that show the nodule are not among them."""
    series = series_of(SeriesHabit.GAP)
    (stack,) = order_of(series).stacks
    assert stack.findings == (StackFinding.GAP,)
    assert [gap.missing for gap in stack.gaps] == [2]
    whole = draw_ct(seed=SEED, index=4)
    assert sum(file.has_nodule for file in series.files) == int(whole.has_nodule.sum())


def test_a_nodule_is_a_spot_that_ends() -> None:
    """Brighter than without it where it is, gone 10 mm above and below; its slices are those that the truth names."""
    with_it, without = (draw_ct(seed=SEED, index=4, nodule_share=share) for share in (1.0, 0.0))
    assert with_it.has_nodule.any()
    assert not without.has_nodule.any()
    for nodule in with_it.nodules:
        middle = round(nodule.z / 5)
        assert with_it.has_nodule[middle]
    nodules = np.array([nodule.z for nodule in with_it.nodules])
    for index in np.flatnonzero(with_it.has_nodule):
        assert np.abs(nodules - 5.0 * index).min() < 8


def test_the_same_arguments_write_the_same_bytes(tmp_path: Path) -> None:
    """So that figures can be repeated."""
    first, second = (
        [file.content for each in write_ct_series(tmp_path / name, count=2, seed=9) for file in each.files]
        for name in ("a", "b")
    )
    assert first == second
    written = sorted((tmp_path / "a").rglob("*.dcm"))
    assert len(written) == len(first)
    assert {path.read_bytes() for path in written} == set(first)


def test_the_truth_is_a_table_of_labels(tmp_path: Path) -> None:
    """By slice with 0 and 1, by series with one label each."""
    truths = [each.without_contents() for each in write_ct_series(tmp_path / "series", count=4, seed=9)]
    assert not any(file.content for each in truths for file in each.files)
    write_slice_labels(tmp_path / "slices.csv", truths)
    write_series_labels(tmp_path / "labels.csv", truths)
    by_slice, by_series = (read_label_table(tmp_path / name) for name in ("slices.csv", "labels.csv"))
    assert (by_slice.key, by_slice.labels, by_slice.exclusive) == (UID, ("nodule",), False)
    assert sum(row.truth[0] for row in by_slice.rows.values()) == sum(
        file.has_nodule for each in truths for file in each.files
    )
    assert (by_series.key, by_series.exclusive, len(by_series.rows)) == (SERIES, True, 4)


def test_the_command_writes_series_and_labels(tmp_path: Path) -> None:
    """The labels must not lie among the images."""
    options = ["--count", "2", "--slices", "16", "--size", "32", "--habit", "plain"]
    arguments = [str(tmp_path / "series"), *options, "--labels", str(tmp_path / "labels.csv"), "--json"]
    ended = CliRunner().invoke(phantom_series_command, arguments, catch_exceptions=False)
    assert ended.exit_code == 0
    assert len(list((tmp_path / "series").rglob("*.dcm"))) == 32
    assert len((tmp_path / "labels.csv").read_text().splitlines()) == 33
    arguments[arguments.index("--labels") + 1] = str(tmp_path / "series" / "labels.csv")
    with pytest.raises(UsageFault, match="outside"):
        CliRunner().invoke(phantom_series_command, arguments, catch_exceptions=False)
