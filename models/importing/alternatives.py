"""List other kinds of preprocessing and find the one whose scores are closest to the golden scores."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from imaging.spec import ASPECTS, BGR, INTERPOLATIONS, RGB, InputSpec, Intensity

_SCALES = ((0.0, 1.0), (0.0, 255.0), (-1.0, 1.0), (-1024.0, 1024.0), (0.0, 4095.0), (0.0, 65535.0))
"""The ranges of most networks: -1024..1024 is used by TorchXRayVision, 0..4095 and 0..65535 are stored values."""
_INTENSITIES = {
    "voi": Intensity(kind="voi"),
    "full": Intensity(kind="full"),
    "percentile:0:100": Intensity(kind="percentile", low=0, high=100),
    "percentile:1:99": Intensity(kind="percentile", low=1, high=99),
}
_TORCH_MEAN, _TORCH_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CAFFE_MEAN = (103.939, 116.779, 123.68)
"""The means in the order blue, green, red."""


def alternatives(spec: InputSpec) -> Iterator[tuple[str, InputSpec]]:
    """Yield pairs of command-line options and spec for the common kinds of preprocessing, with several value ranges."""
    for options, changed in _changes(spec):
        if changed != spec:
            yield options.strip(), changed
        yield from _other_scales(options, changed)


def closest(golden: NDArray[np.float64], scores: list[NDArray[np.float64]]) -> tuple[int, float]:
    """Return the index of the item of `scores` that is closest to `golden`, and its largest difference.

    `golden` and each item of `scores` are (n, labels).
    """
    differences = [float(np.abs(golden - candidate).max()) for candidate in scores]
    best = int(np.argmin(differences))
    return best, differences[best]


def _changes(spec: InputSpec) -> Iterator[tuple[str, InputSpec]]:
    """Yield the unchanged spec, then specs with a single change each."""
    yield "", spec
    yield (
        f"--scale {_span(spec.scale_high, spec.scale_low)} (inverted)",
        replace(spec, scale_low=spec.scale_high, scale_high=spec.scale_low),
    )
    if spec.mean or spec.std:
        yield "without --mean and --std", replace(spec, mean=None, std=None)
    if spec.channels > 1 and not spec.meanings:
        yield from _colours(spec)
    for name, intensity in _INTENSITIES.items():
        yield f"--intensity {name}", replace(spec, intensity=intensity)
    for aspect in ASPECTS:
        yield f"--aspect {aspect}", replace(spec, aspect=aspect)
    for interpolation in INTERPOLATIONS:
        yield f"--interpolation {interpolation}", replace(spec, interpolation=interpolation)


def _colours(spec: InputSpec) -> Iterator[tuple[str, InputSpec]]:
    other = RGB if spec.channel_order == BGR else BGR
    yield f"--channel-order {other}", replace(spec, channel_order=other)
    yield (
        f"--scale 0..1 --mean {_row(_TORCH_MEAN)} --std {_row(_TORCH_STD)} (ImageNet, PyTorch style)",
        replace(spec, scale_low=0.0, scale_high=1.0, channel_order=RGB, mean=_TORCH_MEAN, std=_TORCH_STD),
    )
    yield (
        f"--scale 0..255 --channel-order bgr --mean {_row(_CAFFE_MEAN)} (ImageNet, Caffe style)",
        replace(spec, scale_low=0.0, scale_high=255.0, channel_order=BGR, mean=_CAFFE_MEAN, std=None),
    )


def _other_scales(options: str, spec: InputSpec) -> Iterator[tuple[str, InputSpec]]:
    if "--scale" in options:
        return
    for low, high in _SCALES:
        if (low, high) != (spec.scale_low, spec.scale_high):
            changed = replace(spec, scale_low=low, scale_high=high)
            yield f"--scale {_span(low, high)} {options}".strip(), changed


def _span(low: float, high: float) -> str:
    return f"{low:g}..{high:g}"


def _row(values: tuple[float, ...]) -> str:
    return ",".join(f"{value:g}" for value in values)
