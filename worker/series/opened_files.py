"""Keep the files of neighbouring slices until these are analysed, so that each file is read and decoded once."""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace

from imaging.dicom_image import DicomImage, Frame
from worker.fetching.files import Fetched

_MOST_BYTES = 64 * 1024**2
"""Limit per process: 64 slices of 512 x 512 pixels with 16 bits, each with the bytes of its file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _OpenedFile:
    file: Fetched
    dicom_image: DicomImage
    held_bytes: int


class OpenedFiles:
    """Files of one batch, by image id. If they take more than 64 MiB, the oldest files are dropped and read again."""

    def __init__(self) -> None:
        self._files: OrderedDict[int, _OpenedFile] = OrderedDict()
        self._expected: set[int] = set()
        self._held_bytes = 0

    def expect(self, image_ids: Iterable[int]) -> None:
        """Set the ids of the images that this batch will analyse. The files of other images are not kept."""
        self._expected = set(image_ids)

    def keep(self, image_id: int, file: Fetched, dicom_image: DicomImage, frame: Frame) -> None:
        """Keep an image with its file and its decoded frame. An image with several frames is not kept."""
        if image_id not in self._expected or dicom_image.frame_count != 1:
            return
        self._drop(image_id)
        held_bytes = len(file.data) + frame.stored.nbytes
        opened = replace(dicom_image, source=(frame,))
        self._files[image_id] = _OpenedFile(file=file, dicom_image=opened, held_bytes=held_bytes)
        self._held_bytes += held_bytes
        while self._held_bytes > _MOST_BYTES:
            self._drop(next(iter(self._files)))

    def file_of(self, image_id: int) -> Fetched | None:
        """Return the file of an image if it is kept."""
        kept = self._files.get(image_id)
        return kept.file if kept else None

    def take(self, image_id: int, file: Fetched) -> DicomImage | None:
        """Drop the image, and return it if it was kept and has the same bytes as `file`.

        Call this when the image itself is analysed: from then on its file is not kept.
        """
        self._expected.discard(image_id)
        kept = self._files.get(image_id)
        self._drop(image_id)
        return kept.dicom_image if kept and kept.file.content == file.content else None

    def _drop(self, image_id: int) -> None:
        dropped = self._files.pop(image_id, None)
        if dropped is not None:
            self._held_bytes -= dropped.held_bytes
