"""The stacks that a bundle refuses are counted by reason, and a few of them are named."""

from dataclasses import replace

import numpy as np
import pytest

from imaging.dicom_image import Frame
from imaging.series.rules import SeriesRefusal, SeriesRules, StackProperties
from models.catalogue import find_bundle
from models.datasets.dataset import Examples
from models.evaluation.admission import RefusedStacks, admitted, counts_by_reason
from models.series.spec import SeriesSpec
from nightread.errors import UsageFault

BUNDLE = replace(find_bundle("phantom"), series=SeriesSpec(aggregate="max", rules=SeriesRules(minimum_slices=2)))
EXAMPLES = Examples(
    truth=np.eye(3, 2, dtype=np.float32),
    image_of=np.array([0, 1, 2, 2]),
    patients=np.array([4, 5, 6]),
    names=["short", "lost", "long"],
    load=lambda number: Frame(index=0, stored=np.full((2, 2), number, np.uint8), bits_stored=8),
    gap_behind=np.zeros(4, bool),
    stacks=[StackProperties(1, 0.0, "axial"), StackProperties(2, 5.0, "axial"), StackProperties(2, 5.0, "coronal")],
)


def refused(*names: str, bundle: str = "ct@1", reason: SeriesRefusal = SeriesRefusal.SLICE_SPACING) -> RefusedStacks:
    """Return refused stacks with these names."""
    return RefusedStacks(bundle=bundle, reason=reason, names=names)


def test_three_of_them_are_named() -> None:
    """A data set may have thousands."""
    assert str(refused("a")) == "1 stack, slice_spacing: refused by ct@1 (a)"
    assert str(refused(*"abcde")) == "5 stacks, slice_spacing: refused by ct@1 (a, b, c and 2 more)"


def test_the_numbers_of_two_bundles_are_added() -> None:
    """A comparison leaves out what one of them refuses."""
    both = (refused("a"), refused("b", "c", bundle="ct@2"), refused("d", reason=SeriesRefusal.TOO_FEW_SLICES))
    assert counts_by_reason(both) == {"slice_spacing": 3, "too_few_slices": 1}


def test_a_slice_that_was_lost_still_counts() -> None:
    """As in a worker: the second stack has two slices, of which one could not be decoded."""
    kept, left_out = admitted(BUNDLE, EXAMPLES, "test")
    assert left_out == (RefusedStacks(bundle=BUNDLE.reference, reason=SeriesRefusal.TOO_FEW_SLICES, names=("short",)),)
    assert (list(kept.names), kept.image_of.tolist()) == (["lost", "long"], [0, 1, 1])
    assert [stack.slices for stack in kept.stacks or ()] == [2, 2]
    assert [int(kept.load(number).stored.max()) for number in range(len(kept))] == [1, 2, 3]


@pytest.mark.parametrize("of_series", [True, False])
def test_without_series_there_are_no_rules(of_series: bool) -> None:
    """A bundle of images on stacks, and a bundle of series on images."""
    examples = replace(EXAMPLES, stacks=None) if of_series else EXAMPLES
    assert admitted(BUNDLE if of_series else replace(BUNDLE, series=None), examples, "test") == (examples, ())


def test_nothing_left_is_wrong_usage() -> None:
    """The message has the reasons and what to do."""
    strict = replace(BUNDLE, series=SeriesSpec(aggregate="max", rules=SeriesRules(spacing_mm=(1, 2), minimum_slices=2)))
    with pytest.raises(UsageFault, match=r"validation part .* 3 stacks \(too_few_slices 1, slice_spacing 2\)"):
        admitted(strict, EXAMPLES, "validation")


def test_a_part_without_stacks_says_so() -> None:
    """The rules refuse nothing there, so another bundle would not help."""
    with pytest.raises(UsageFault, match=r"^The test part has no stack: choose another part, or give more series\.$"):
        admitted(BUNDLE, replace(EXAMPLES, stacks=[]), "test")
