"""Measure the intensities of prepared inputs for the comparison of nights."""

from functools import lru_cache

import numpy as np

from imaging.spec import InputSpec
from models.input_range import Inputs, percentiles
from nightread.drift.levels import PERCENTILES, WHITE, Levels


def levels_of(inputs: Inputs, spec: InputSpec) -> Levels:
    """Return percentiles of inputs (n, height, width, channels) as levels, (n, percentiles): 0 is black, 255 white."""
    return to_levels(percentiles(inputs, PERCENTILES), spec)


def to_levels(found: Inputs, spec: InputSpec) -> Levels:
    """Convert percentiles (n, percentiles), in units of the input, to levels from 0 (black) to 255 (white)."""
    black, white = black_and_white(spec)
    shares = (found - np.float32(black)) / np.float32(white - black or 1.0)
    levels: Levels = np.clip(np.rint(np.nan_to_num(shares) * WHITE), 0, WHITE).astype(np.uint8)
    return levels


@lru_cache
def black_and_white(spec: InputSpec) -> tuple[float, float]:
    """Return the values of a black and of a white input, each as the mean of the channels."""
    mean, std = np.array(spec.mean or (0.0,)), np.array(spec.std or (1.0,))
    return float(((spec.scale_low - mean) / std).mean()), float(((spec.scale_high - mean) / std).mean())
