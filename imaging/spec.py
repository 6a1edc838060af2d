"""Define how a frame becomes the input of one network. This is part of a bundle and of its digest."""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any, Self

from imaging.input_channel import InputChannel, channels_from_json, channels_to_json

INTENSITIES = ("window", "voi", "percentile", "full")
INTERPOLATIONS = ("area", "linear", "cubic", "nearest")
ASPECTS = ("stretch", "pad", "crop")
FULL, REFUSE = UNUSABLE = ("full", "refuse")
_LARGEST = 65_535
"""Largest accepted height or width of an input. Real inputs are far smaller; Rows and Columns of DICOM have 16 bits."""
RGB, BGR = CHANNEL_ORDERS = ("rgb", "bgr")


@dataclass(frozen=True, kw_only=True, slots=True)
class Intensity:
    """The mapping from modality values to [0, 1]. It has no default.

    - `window`: the fixed range `low`..`high` in modality units (LINEAR_EXACT, DICOM PS3.3 C.11.2.1.2).
    - `voi`: the mapping of the header: the first usable VOI LUT, else the first usable window, else `full`.
    - `percentile`: the `low`..`high` percentiles (0-100) of the valid pixels of each frame.
    - `full`: the full range of the stored bits after rescale.
    """

    kind: str
    low: float | None = None
    high: float | None = None
    unusable: str = FULL
    """For `voi`: what happens to an image whose header has a VOI that cannot be used. `full` takes the full range and
    adds a remark to the result; `refuse` rejects the image as `voi_unusable`."""

    def __post_init__(self) -> None:
        """Raise ValueError for an unknown kind or a range that is missing or empty."""
        _require("intensity", self.kind, INTENSITIES)
        _require("intensity unusable", self.unusable, UNUSABLE if self.kind == "voi" else (FULL,))
        _require_finite("intensity", (self.low, self.high))
        if self.kind in ("window", "percentile") and (self.low is None or self.high is None or self.low >= self.high):
            raise ValueError(f"InputSpec: intensity {self.kind} requires low < high, not {self.low}..{self.high}")


@dataclass(frozen=True, kw_only=True, slots=True)
class InputSpec:
    """Size, channels and scaling of the input. Frames become float32 of shape (height, width, channels)."""

    height: int
    width: int
    channels: int
    intensity: Intensity
    interpolation: str = "area"
    aspect: str = "stretch"
    scale_low: float = 0.0
    scale_high: float = 1.0
    """Mapped intensities 0..1 become scale_low..scale_high."""
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    """`mean` and `std` of each channel, in `channel_order`, applied after scaling: (x - mean) / std."""
    meanings: tuple[InputChannel, ...] = ()
    """What each channel shows: a window, of the slice itself or of a neighbour. If empty, the input is grey or RGB."""
    channel_order: str = RGB
    """`bgr` for networks whose weights come from Caffe (keras.applications: ResNet50, VGG16, ...)."""

    def __post_init__(self) -> None:
        """Raise ValueError for values with which no frame can be prepared."""
        _require("interpolation", self.interpolation, INTERPOLATIONS)
        _require("aspect", self.aspect, ASPECTS)
        _require("channels", self.channels, (len(self.meanings),) if self.meanings else (1, 3))
        in_colours = self.channels > 1 and not self.meanings
        _require("channel_order", self.channel_order, CHANNEL_ORDERS if in_colours else (RGB,))
        if min(self.height, self.width) < 1:
            raise ValueError(f"InputSpec: size {self.height} x {self.width} is not positive")
        if not all(type(size) is int and size <= _LARGEST for size in (self.height, self.width)):
            raise ValueError(f"InputSpec: size {self.height} x {self.width} is not a whole number up to {_LARGEST}")
        _require_finite("scale", (self.scale_low, self.scale_high))
        if self.scale_low == self.scale_high:
            raise ValueError(f"InputSpec: scale {self.scale_low}..{self.scale_high} makes all images equal")
        if self.std is not None and min(self.std, default=1.0) <= 0:
            raise ValueError("InputSpec: std is a divisor, so each value must be positive")
        for name, values in (("mean", self.mean), ("std", self.std)):
            _require_finite(name, values or ())
            if values is not None and len(values) != self.channels:
                raise ValueError(f"InputSpec: {name} has {len(values)} values for {self.channels} channels")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return (height, width, channels) of one prepared frame."""
        return self.height, self.width, self.channels

    @property
    def reach(self) -> tuple[int, int]:
        """Return the lowest and highest offset of a channel: how many neighbours before and after a slice it needs."""
        offsets = [0, *(channel.offset for channel in self.meanings)]
        return min(offsets), max(offsets)

    @property
    def needs_neighbours(self) -> bool:
        """Return whether a channel shows another slice, so that a single image is not enough."""
        return self.reach != (0, 0)

    @property
    def shown_channel(self) -> int:
        """Return the channel to show to people: the first that shows the slice itself."""
        return next((index for index, channel in enumerate(self.meanings) if channel.offset == 0), 0)

    def of_channel(self, index: int) -> "InputSpec":
        """Return the spec of a network that would take this channel alone; without `meanings` the spec itself."""
        return _of_channel(self, index) if self.meanings else self

    def to_json(self) -> dict[str, Any]:
        """Return plain values for bundle.json. `channels` is the list of `meanings`, or a number if there are none.

        The defaults of `channel_order` and `unusable` are omitted, to keep digests of old bundles.
        """
        values = asdict(self)
        del values["meanings"]
        if self.meanings:
            values["channels"] = channels_to_json(self.meanings)
        if self.intensity.unusable == FULL:
            del values["intensity"]["unusable"]
        if self.channel_order == RGB:
            del values["channel_order"]
        return values

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Read the values that `to_json` returned. Raises KeyError, ValueError or TypeError for other values."""
        known = dict(values)
        known["intensity"] = Intensity(**known["intensity"])
        if isinstance(known.get("channels"), list | tuple):
            known["meanings"] = channels_from_json(known["channels"])
            known["channels"] = len(known["meanings"])
        for name in ("mean", "std"):
            if known.get(name) is not None:
                known[name] = tuple(float(value) for value in known[name])
        return cls(**known)


@lru_cache(maxsize=256)
def _of_channel(spec: InputSpec, index: int) -> InputSpec:
    window = spec.meanings[index].window
    own = spec.intensity if window is None else Intensity(kind="window", low=window[0], high=window[1])
    return replace(
        spec,
        channels=1,
        meanings=(),
        intensity=own,
        mean=None if spec.mean is None else (spec.mean[index],),
        std=None if spec.std is None else (spec.std[index],),
    )


def _require_finite(name: str, values: Iterable[float | None]) -> None:
    if not all(value is None or math.isfinite(value) for value in values):
        raise ValueError(f"InputSpec: {name} holds a number that is not finite")


def _require(name: str, value: object, allowed: tuple[object, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"InputSpec: {name} is {value!r}; allowed: {', '.join(map(str, allowed))}")
