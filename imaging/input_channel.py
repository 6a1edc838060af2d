"""Define what one channel of a network's input shows: a window of a slice, or of one of its neighbours."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_FARTHEST = 64
"""Farther neighbours would have to be kept in memory for each slice."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InputChannel:
    """One channel. `InputSpec.meanings` holds them in the order in which the network takes them."""

    window: tuple[float, float] | None = None
    """Lowest and highest modality value (Hounsfield units for CT); None: the intensity of the spec."""
    offset: int = 0
    """Which slice of the stack: 0 the slice itself, -1 the one before it, 1 the one behind it, in the order of
    `imaging.series.arrange`. At the ends of a stack, where there is none, the first or last slice takes its place."""

    def __post_init__(self) -> None:
        """Raise ValueError for an empty window or an offset that is not a whole number up to 64."""
        if type(self.offset) is not int or abs(self.offset) > _FARTHEST:
            raise ValueError(
                f"InputChannel: offset {self.offset!r} is not a whole number from -{_FARTHEST} to {_FARTHEST}"
            )
        if self.window is not None:
            low, high = self.window
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise ValueError(f"InputChannel: window requires finite numbers low < high, not {low}..{high}")
            # The digest of a bundle must not depend on whether somebody wrote 1 or 1.0.
            object.__setattr__(self, "window", (float(low), float(high)))

    def __str__(self) -> str:
        """Return the channel as --channel takes it, such as `0:80@-1`."""
        window = "" if self.window is None else f"{self.window[0]:g}:{self.window[1]:g}"
        return f"{window}@{self.offset}" if self.offset or not window else window


def channels_to_json(channels: Sequence[InputChannel]) -> list[dict[str, Any]]:
    """Return plain values for bundle.json."""
    return [
        ({} if channel.window is None else {"window": list(channel.window)}) | {"offset": channel.offset}
        for channel in channels
    ]


def channels_from_json(values: Sequence[Any]) -> tuple[InputChannel, ...]:
    """Read the values that `channels_to_json` returned. Raises TypeError or ValueError for others."""
    return tuple(_channel(**value) for value in values)


def _channel(*, window: Sequence[float] | None = None, offset: int = 0) -> InputChannel:
    if window is None:
        return InputChannel(offset=offset)
    low, high = window
    return InputChannel(window=(low, high), offset=offset)
