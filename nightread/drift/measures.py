"""Sort the values of images into the bins whose shares are compared: scores, label, intensities, size and the like."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nightread.drift.levels import PERCENTILES, unpack

LABEL, SIZE, PHOTOMETRIC, SPACING = "label", "size", "photometric", "pixel spacing"
_SCORE_BINS = 20
_LEVEL_BINS = 16
_MOST_FINDINGS = 32
"""Maximum number of findings with a histogram each. With more findings there is one histogram, of the highest score."""
_MOST_LABELS = 250
"""Maximum number of bins for labels, so that the number of a bin fits into a byte. Further labels share the last of
these bins."""
_PHOTOMETRIC = ("MONOCHROME1", "MONOCHROME2", "RGB", "PALETTE COLOR", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT")
_STEPS_PER_OCTAVE = 2
_OCTAVES_OF_SIZE = (4, 14)
"""The bins of sizes (square root of rows times columns) go from 2^4 = 16 to 2^14 = 16,384 pixels."""
_OCTAVES_OF_SPACING = (-7, 4)
"""The bins of pixel spacings go from 2^-7 = 0.008 to 2^4 = 16 mm."""

Codes = Mapping[str, NDArray[np.uint8]]
"""The bin of each image, (images,), by measure."""
Counts = Mapping[str, NDArray[np.int64]]
"""Number of images in each bin, (bins,), by measure."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ResultValues:
    """Results of one bundle for some images; each list has one entry per image."""

    labels: Sequence[str | None]
    scores: NDArray[np.float64]
    """(images, labels), in the order of the labels of the bundle."""
    intensities: Sequence[int | None]
    """Percentiles of the intensities, packed by nightread.drift.levels; None if they were not measured."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HeaderValues:
    """What the headers of some images say; each list has one entry per image."""

    sizes: Sequence[tuple[int | None, int | None]]
    """(rows, columns) of each image."""
    photometric: Sequence[str | None]
    spacings: Sequence[float | None]
    """Millimetres between the centres of neighbouring pixels of a column."""


@dataclass(frozen=True, kw_only=True)
class DriftMeasures:
    """The measures of one bundle, each with the names of its bins."""

    labels: tuple[str, ...]
    normal_label: str | None

    @property
    def findings(self) -> tuple[str, ...]:
        """Return the labels whose scores get a histogram; empty if there are too many."""
        found = tuple(label for label in self.labels if label != self.normal_label)
        return found if len(found) <= _MOST_FINDINGS else ()

    @cached_property
    def bins(self) -> dict[str, tuple[str, ...]]:
        """Return the names of the bins of each measure; the last bin is for images without the value."""
        scores = [f"{number / _SCORE_BINS:g}" for number in range(_SCORE_BINS)]
        levels = [f"{number / _LEVEL_BINS:.0%}" for number in range(_LEVEL_BINS)]
        names = dict.fromkeys(self.labels if self.normal_label is None else (*self.labels, self.normal_label))
        return {
            LABEL: (*list(names)[:_MOST_LABELS], "none"),
            **{self._score_of(finding): (*scores, "none") for finding in self.findings or (None,)},
            **{_intensity(percentile): (*levels, "none") for percentile in PERCENTILES},
            SIZE: (*_octaves(_OCTAVES_OF_SIZE, "{:.0f}"), "none"),
            PHOTOMETRIC: (*_PHOTOMETRIC, "other", "none"),
            SPACING: (*_octaves(_OCTAVES_OF_SPACING, "{:.3g}"), "none"),
        }

    def codes(self, results: ResultValues, headers: HeaderValues) -> Codes:
        """Return the bin of each image for each measure."""
        return {**self.result_codes(results), **self.header_codes(headers)}

    def result_codes(self, values: ResultValues) -> Codes:
        """Return the bins of label, scores and intensities."""
        levels, is_measured = unpack(values.intensities)
        steps = np.where(is_measured[:, None], levels // (256 // _LEVEL_BINS), _LEVEL_BINS).astype(np.uint8)
        return {
            LABEL: self._label_codes(values.labels),
            **self._score_codes(values.scores),
            **{_intensity(each): steps[:, place] for place, each in enumerate(PERCENTILES)},
        }

    @staticmethod
    def header_codes(values: HeaderValues) -> Codes:
        """Return the bins of size, photometric interpretation and pixel spacing."""
        spacings = np.array([spacing or 0 for spacing in values.spacings], np.float64)
        return {
            SIZE: _logarithmic(_side_lengths(values.sizes), _OCTAVES_OF_SIZE),
            PHOTOMETRIC: _positions(values.photometric, (*_PHOTOMETRIC, ""), missing=len(_PHOTOMETRIC) + 1),
            SPACING: _logarithmic(spacings, _OCTAVES_OF_SPACING),
        }

    def counts(self, codes: Codes) -> Counts:
        """Return the number of images in each bin."""
        return {name: np.bincount(codes[name], minlength=len(bins)) for name, bins in self.bins.items()}

    def _label_codes(self, labels: Sequence[str | None]) -> NDArray[np.uint8]:
        names = self.bins[LABEL]
        return _positions(labels, names[:-1], missing=len(names) - 1)

    def _score_codes(self, scores: NDArray[np.float64]) -> Codes:
        if not self.findings:
            return {self._score_of(None): _score_bins(scores.max(axis=1, initial=0))}
        places = {label: place for place, label in enumerate(self.labels)}
        return {self._score_of(finding): _score_bins(scores[:, places[finding]]) for finding in self.findings}

    @staticmethod
    def _score_of(finding: str | None) -> str:
        return f"score of {finding}" if finding is not None else "highest score"


def _intensity(percentile: int) -> str:
    return f"intensity {percentile} %"


def _score_bins(scores: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.clip(scores * _SCORE_BINS, 0, _SCORE_BINS - 1).astype(np.uint8)


def _side_lengths(sizes: Sequence[tuple[int | None, int | None]]) -> NDArray[np.float64]:
    return np.sqrt(np.array([(rows or 0) * (columns or 0) for rows, columns in sizes], np.float64))


def _logarithmic(values: NDArray[np.float64], octaves: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the bin of each value; zero has the last bin.

    Each bin covers half an octave around a power of the square root of two.
    """
    first, last = octaves
    bins = (last - first) * _STEPS_PER_OCTAVE + 1
    places = np.floor((np.log2(np.maximum(values, 2.0 ** (first - 1))) - first) * _STEPS_PER_OCTAVE + 0.5)
    return np.where(values > 0, np.clip(places, 0, bins - 1), bins).astype(np.uint8)


def _octaves(octaves: tuple[int, int], template: str) -> list[str]:
    first, last = octaves
    steps = range((last - first) * _STEPS_PER_OCTAVE + 1)
    return [template.format(2 ** (first + step / _STEPS_PER_OCTAVE)) for step in steps]


def _positions(values: Sequence[str | None], names: Sequence[str], *, missing: int) -> NDArray[np.uint8]:
    """Return the position of each value in `names`: the last position for other values, `missing` for None."""
    places: dict[str | None, int] = {name: place for place, name in enumerate(names)}
    places[None] = missing
    other = len(names) - 1
    return np.array([places.get(value, other) for value in values], np.uint8)
