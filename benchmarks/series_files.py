"""Write series of CT slices for benchmarks: phantoms of 512x512 pixels, each with its own UIDs and position."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pydicom

from models.phantoms.ct_habits import SeriesHabit
from models.phantoms.ct_series import CtStyle, ct_series

_STYLE = CtStyle(slices=16, size=512, habit=SeriesHabit.PLAIN)
_SEED = 7
_UID = "2.25.1000000000"
_STUDY, _SERIES, _SLICE = (f"{_UID}.{kind}.1000000" for kind in (1, 2, 3))
_NUMBER = b"1%06d"
_HEIGHT = "7654.321"
"""Height of a slice in mm. UIDs and height have the same length in all files, so they can be replaced in the bytes of
a template."""
_SPACING_MM = 1.5


@dataclass(frozen=True, kw_only=True)
class SliceWriter:
    """Writes slices. It has only a few different pictures, which it repeats."""

    templates: Sequence[bytes]

    @classmethod
    def with_pictures(cls) -> "SliceWriter":
        """Return a writer with newly drawn pictures. This takes one or two seconds."""
        return cls(templates=[_template(file.content) for file in ct_series(seed=_SEED, index=0, style=_STYLE).files])

    def write(self, folder: Path, *, series: int, slices: int, first: int = 0) -> None:
        """Write `series` series of `slices` slices each, numbered from `first`. Each series has its own study."""
        folder.mkdir(parents=True)
        for number in range(first, first + series * slices):
            place = (number - first) % slices
            content = self._slice(number, place, first_of_series=number - place)
            (folder / f"{number:07d}.dcm").write_bytes(content)

    def _slice(self, number: int, place: int, *, first_of_series: int) -> bytes:
        content = self.templates[number % len(self.templates)]
        for uid, value in ((_STUDY, first_of_series), (_SERIES, first_of_series), (_SLICE, number)):
            content = content.replace(uid.encode(), uid[:-7].encode() + _NUMBER % value)
        return content.replace(_HEIGHT.encode(), b"%08.3f" % (place * _SPACING_MM))


def _template(content: bytes) -> bytes:
    """Return the file of one picture with placeholders for the UIDs and the height."""
    dataset = pydicom.dcmread(io.BytesIO(content))
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID = _STUDY, _SERIES, _SLICE
    dataset.file_meta.MediaStorageSOPInstanceUID = _SLICE
    dataset.ImagePositionPatient = [*dataset.ImagePositionPatient[:2], _HEIGHT]
    del dataset.InstanceNumber, dataset.SliceLocation, dataset.SpacingBetweenSlices
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
