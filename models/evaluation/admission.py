"""Leave out the stacks that the rules of a bundle refuse, since a worker gives them no result either."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from imaging.series.rules import SeriesRefusal
from models.bundle import Bundle
from models.datasets.dataset import Examples
from models.datasets.subset import without_frames
from nightread.errors import UsageFault
from nightread.wording import counted

_MOST_NAMES = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class RefusedStacks:
    """Stacks of one part of a data set that the rules of a bundle refuse for one reason."""

    bundle: str
    """`NAME@VERSION`."""
    reason: SeriesRefusal
    names: tuple[str, ...]
    """The names of all stacks that are refused for this reason, from `Examples.names`."""

    def __str__(self) -> str:
        """Return the number of stacks, the reason, and some of the names."""
        shown, more = ", ".join(self.names[:_MOST_NAMES]), len(self.names) - _MOST_NAMES
        named = f"{shown} and {more:,} more" if more > 0 else shown
        return f"{counted(len(self.names), 'stack')}, {self.reason.value}: refused by {self.bundle} ({named})"


def admitted(bundle: Bundle, examples: Examples, part: str) -> tuple[Examples, tuple[RefusedStacks, ...]]:
    """Return the stacks of a part that the bundle accepts, and the others by reason.

    As in a worker, `SeriesRules.refusal` decides. It considers all slices of a stack, even slices that cannot be
    decoded. Nothing is refused if the unit of the bundle is not the series, or if the images are not stacks. Raises
    UsageFault if there is no stack, or none is left.
    """
    if bundle.series is None or examples.stacks is None:
        return examples, ()
    reasons = [bundle.series.rules.refusal(stack) for stack in examples.stacks]
    refused = tuple(
        RefusedStacks(bundle=bundle.reference, reason=reason, names=_names(examples, reasons, reason))
        for reason in SeriesRefusal
        if reason in reasons
    )
    if not reasons:
        raise UsageFault(f"The {part} part has no stack: choose another part, or give more series.")
    if None not in reasons:
        why = ", ".join(f"{reason} {stacks:,}" for reason, stacks in counts_by_reason(refused).items())
        raise UsageFault(
            f"No stack of the {part} part is left: the rules of {bundle.reference} refuse "
            f"{counted(len(reasons), 'stack')} ({why}). Give series for which the model was made, or make a version "
            "with other rules by `nightread models for-series`."
        )
    left_out = np.array([reason is not None for reason in reasons])
    return without_frames(examples, left_out[examples.image_of]), refused


def counts_by_reason(refused: Iterable[RefusedStacks]) -> dict[str, int]:
    """Return the number of refused stacks by reason."""
    counts: Counter[str] = Counter()
    for each in refused:
        counts[each.reason.value] += len(each.names)
    return dict(counts)


def _names(examples: Examples, reasons: list[SeriesRefusal | None], reason: SeriesRefusal) -> tuple[str, ...]:
    return tuple(str(name) for name, why in zip(examples.names, reasons, strict=True) if why is reason)
