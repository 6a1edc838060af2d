"""Hold the bins of the images that later nights are compared with, grouped by study, but without any identity."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from nightread.drift.measures import Codes, Counts, DriftMeasures

FORMAT = 1
MOST_PER_STRATUM = 2000
"""Largest number of images of a stratum in a reference. Whole studies are kept, chosen at random."""
FIELDS = ("modality", "device_model", "view", "source")
_SEED = 17


class Stratum(NamedTuple):
    """The images that are compared with each other; an empty field is unknown, or not compared."""

    modality: str = ""
    device_model: str = ""
    view: str = ""
    source: str = ""

    def of_fields(self, fields: Sequence[str]) -> "Stratum":
        """Return the stratum with these fields only."""
        return Stratum(*(value if name in fields else "" for name, value in zip(FIELDS, self, strict=True)))

    def __str__(self) -> str:
        """Return the fields as text for people."""
        return ", ".join(value for value in self if value) or "all images"


@dataclass(frozen=True, kw_only=True)
class DriftReference:
    """The images of a reference. Each image has a stratum, the number of its study, and a bin for each measure."""

    measures: DriftMeasures
    strata: tuple[Stratum, ...]
    stratum: NDArray[np.int64]
    """(images,): the position of the stratum of each image in `strata`."""
    block: NDArray[np.int64]
    """(images,): an arbitrary number for the study of each image."""
    codes: Codes

    @classmethod
    def of_images(
        cls, measures: DriftMeasures, strata: Sequence[Stratum], studies: Sequence[str | int | None], codes: Codes
    ) -> Self:
        """Build a reference from its images. The images of a study are one block.

        An image without a study is a block of its own. Fields that no image has are left out of the comparison. A
        stratum keeps at most MOST_PER_STRATUM images.
        """
        names: dict[str | int | None, int] = {
            study: number for number, study in enumerate(dict.fromkeys(studies)) if study is not None
        }
        block = np.array([names.get(study, len(names) + place) for place, study in enumerate(studies)], np.int64)
        distinct = sorted(set(strata))
        places = {stratum: place for place, stratum in enumerate(distinct)}
        stratum = np.array([places[each] for each in strata], np.int64)
        kept = _kept(stratum, block)
        numbered = np.unique(block[kept], return_inverse=True)[1]
        shuffled = np.random.default_rng(_SEED).permutation(numbered.max(initial=-1) + 1)
        return cls(
            measures=measures,
            strata=tuple(distinct),
            stratum=stratum[kept],
            block=shuffled[numbered],
            codes={name: found[kept] for name, found in codes.items()},
        )

    @property
    def images(self) -> int:
        """Return the number of images."""
        return len(self.stratum)

    @property
    def fields(self) -> tuple[str, ...]:
        """Return the fields of strata that any image has; the other fields are not compared."""
        return tuple(name for place, name in enumerate(FIELDS) if any(stratum[place] for stratum in self.strata))

    def counts(self, stratum: Stratum | None = None) -> Counts:
        """Return the numbers of images by bin, of one stratum or of all strata."""
        chosen = self.of_stratum(stratum)
        return self.measures.counts({name: found[chosen] for name, found in self.codes.items()})

    def of_stratum(self, stratum: Stratum | None) -> NDArray[np.int64]:
        """Return the positions of the images of a stratum; for None, of all images."""
        if stratum is None:
            return np.arange(self.images)
        return np.flatnonzero(self.stratum == self.strata.index(stratum)) if stratum in self.strata else np.arange(0)

    def studies(self, stratum: Stratum | None = None) -> int:
        """Return the number of studies of one stratum or of all strata."""
        return len(np.unique(self.block[self.of_stratum(stratum)]))

    def to_json(self) -> dict[str, Any]:
        """Return values that JSON can hold, with two characters per image and measure."""
        return {
            "format": FORMAT,
            "labels": list(self.measures.labels),
            "normal_label": self.measures.normal_label,
            "strata": [list(stratum) for stratum in self.strata],
            "stratum": self.stratum.tolist(),
            "block": self.block.tolist(),
            "codes": {name: found.tobytes().hex() for name, found in self.codes.items()},
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_json` returned. Raises KeyError, TypeError and ValueError for other values."""
        if values["format"] != FORMAT:
            raise ValueError("the reference has another format than this release knows")
        measures = DriftMeasures(labels=tuple(values["labels"]), normal_label=values["normal_label"])
        codes = {name: np.frombuffer(bytes.fromhex(values["codes"][name]), np.uint8) for name in measures.bins}
        strata = tuple(Stratum(*map(str, fields)) for fields in values["strata"])
        stratum, block = (np.array(values[name], np.int64) for name in ("stratum", "block"))
        _check(measures, strata, stratum, block, codes)
        return cls(measures=measures, strata=strata, stratum=stratum, block=block, codes=codes)


def _kept(stratum: NDArray[np.int64], block: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the positions of the images to keep: whole blocks of each stratum, chosen at random with a fixed seed."""
    rank = np.random.default_rng(_SEED).permutation(block.max(initial=-1) + 1)[block]
    kept = []
    for each in np.unique(stratum):
        places = np.flatnonzero(stratum == each)
        ordered = places[np.argsort(rank[places], kind="stable")]
        if len(ordered) > MOST_PER_STRATUM:
            whole = ordered[rank[ordered] < rank[ordered[MOST_PER_STRATUM]]]
            ordered = whole if len(whole) else ordered[:MOST_PER_STRATUM]
        kept.append(ordered)
    return np.sort(np.concatenate(kept)) if kept else np.arange(0)


def _check(
    measures: DriftMeasures,
    strata: Sequence[Stratum],
    stratum: NDArray[np.int64],
    block: NDArray[np.int64],
    codes: Codes,
) -> None:
    lengths = {len(stratum), len(block), *map(len, codes.values())}
    in_range = len(stratum) > 0 and stratum.min() >= 0 and stratum.max() < len(strata) and block.min() >= 0
    if len(lengths) != 1 or not in_range:
        raise ValueError("the lists of the reference differ in length, are empty, or name an unknown stratum")
    if any(codes[name].max() >= len(bins) for name, bins in measures.bins.items()):
        raise ValueError("the reference names a bin that does not exist")
