"""Files that were opened as neighbours are kept until their own turn, within a limit."""

from dataclasses import replace

import pytest
from dicom_files import phantom

from imaging.dicom_image import DicomImage
from imaging.read import read
from worker.fetching.files import Fetched
from worker.series import opened_files
from worker.series.opened_files import OpenedFiles

DATA = phantom(1)
FILE = Fetched(data=DATA, content="blake3:1", size=len(DATA), mtime_ns=1)


def keep(opened: OpenedFiles, *image_ids: int) -> DicomImage:
    image = read(DATA)
    for image_id in image_ids:
        opened.keep(image_id, FILE, image, image.frame(0))
    return image


def test_an_image_is_given_once_with_its_decoded_frame() -> None:
    """Its header is that of the file; nothing is decoded again."""
    opened = OpenedFiles()
    opened.expect([7])
    image = keep(opened, 7)
    assert opened.file_of(7) is FILE
    taken = opened.take(7, FILE)
    assert taken is not None
    assert taken.facts == image.facts
    assert next(taken.frames()) is taken.frame(0)
    assert (opened.file_of(7), opened.take(7, FILE)) == (None, None)


def test_only_images_with_a_turn_to_come_are_kept() -> None:
    """Others belong to another batch, or had their turn."""
    opened = OpenedFiles()
    opened.expect([1, 2])
    keep(opened, 3)
    assert opened.file_of(3) is None
    opened.take(1, FILE)
    keep(opened, 1)
    assert opened.file_of(1) is None


def test_an_image_with_other_bytes_is_not_given() -> None:
    """The file changed after it was opened as a neighbour."""
    opened = OpenedFiles()
    opened.expect([1])
    keep(opened, 1)
    assert opened.take(1, replace(FILE, content="blake3:2")) is None


def test_the_oldest_are_given_up_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for two files of this size, with their frames."""
    frame_bytes = read(DATA).frame(0).stored.nbytes
    monkeypatch.setattr(opened_files, "_MOST_BYTES", 2 * (len(DATA) + frame_bytes))
    opened = OpenedFiles()
    opened.expect(range(5))
    keep(opened, 0, 1, 1, 2)
    assert [opened.file_of(image_id) is not None for image_id in range(3)] == [False, True, True]
    opened.take(1, FILE)
    keep(opened, 3)
    assert [opened.file_of(image_id) is not None for image_id in range(4)] == [False, False, True, True]
