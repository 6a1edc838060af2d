"""Use files as examples and read them on request."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from imaging.dicom_image import DicomImage, Frame
from imaging.facts import Facts
from imaging.prepare import prepare
from imaging.read import read
from imaging.spec import InputSpec
from models.datasets.dataset import Examples
from nightread.errors import RejectImage, RetryImage
from nightread.reasons import Reason


@dataclass(frozen=True, kw_only=True)
class FileExamples(Examples):
    """DICOM, PNG and JPEG files below one folder; `names` are their relative paths."""

    folder: Path

    @classmethod
    def from_files(
        cls,
        folder: Path,
        names: Sequence[str],
        *,
        frames: Sequence[int],
        truth: NDArray[np.float32],
        patients: NDArray[np.int64] | None,
    ) -> Self:
        """Build examples from files; `frames` is the number of frames per file."""
        image_of = np.repeat(np.arange(len(names)), frames)
        firsts = np.cumsum([0, *frames])

        def load(number: int) -> Frame:
            image = int(image_of[number])
            return _frame(read_dicom_image(folder, names[image]), number - int(firsts[image]))

        def facts(image: int) -> Facts:
            return read_dicom_image(folder, names[image]).facts

        return cls(
            truth=truth, image_of=image_of, patients=patients, names=names, load=load, facts=facts, folder=folder
        )

    def inputs(self, frames: Sequence[int] | NDArray[np.int64], spec: InputSpec) -> NDArray[np.float32]:
        """Return prepared inputs (n, height, width, channels); each file is read once for all its frames.

        Raises RejectImage if a file cannot be decoded, RetryImage if it no longer exists or cannot be read.
        """
        numbers = np.asarray(frames, np.int64)
        prepared = np.empty((len(numbers), *spec.shape), np.float32)
        order = np.argsort(numbers, kind="stable")
        images = self.image_of[numbers[order]]
        bounds = [0, *(np.flatnonzero(np.diff(images)) + 1), len(order)]
        for start, end in pairwise(bounds if len(order) else [0]):
            self._prepare_file(order[start:end], numbers, spec, prepared)
        return prepared

    def _prepare_file(
        self, rows: NDArray[np.int64], numbers: NDArray[np.int64], spec: InputSpec, prepared: NDArray[np.float32]
    ) -> None:
        """Fill the rows of `prepared` that belong to frames of one file. `rows` are in the order of these frames."""
        image = int(self.image_of[numbers[rows[0]]])
        first = int(np.searchsorted(self.image_of, image))
        decoded, position = iter(read_dicom_image(self.folder, self.names[image]).frames()), 0
        previous = None
        for row in rows:
            wanted = int(numbers[row]) - first
            if previous is not None and wanted == position - 1:
                prepared[row] = previous
                continue
            prepare(_next_frame(decoded, wanted - position), spec, out=prepared[row])
            previous, position = prepared[row], wanted + 1


def read_dicom_image(folder: Path, name: str) -> DicomImage:
    """Read a file below the folder. Raises RejectImage, or RetryImage if it no longer exists or cannot be read."""
    try:
        return read((folder / name).read_bytes(), accept_raster=True)
    except FileNotFoundError as error:
        raise RetryImage(Reason.MISSING_FILE) from error
    except OSError as error:
        raise RetryImage(Reason.UNREADABLE) from error


def _frame(dicom_image: DicomImage, index: int) -> Frame:
    return _next_frame(dicom_image.frames(), index)


def _next_frame(frames: Iterator[Frame], skipped: int) -> Frame:
    frame = next(islice(frames, skipped, None), None)
    if frame is None:
        raise RejectImage(Reason.TRUNCATED, "The file has fewer frames than when the data set was opened.")
    return frame
