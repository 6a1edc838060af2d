"""Define what one channel of a network's input shows: a window of a slice, or of one of its neighbours."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_FARTHEST = 64
"""Largest offset: all slices up to this distance are kept in memory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InputChannel:
    """One channel of a network's input. `InputSpec.meanings` lists the channels in the order of the network."""

    window: tuple[float, float] | None = None
    """Lowest and highest modality value (Hounsfield units for CT). If it is None, the intensity of the spec applies."""
    offset: int = 0
    """Which slice of the stack is shown: 0 is the slice itself, -1 the slice before it, 1 the slice behind it, in the
    order of `imaging.series.arrange`. Beyond the ends of the stack, its first or last slice is shown."""

    def __post_init__(self) -> None:
        """Raise ValueError for an empty window, or an offset that is not a whole number from -64 to 64."""
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
    """Read the values that `channels_to_json` returned. Raises TypeError or ValueError for other values."""
    return tuple(_channel(**value) for value in values)


def _channel(*, window: Sequence[float] | None = None, offset: int = 0) -> InputChannel:
    if window is None:
        return InputChannel(offset=offset)
    low, high = window
    return InputChannel(window=(low, high), offset=offset)
