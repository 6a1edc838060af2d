"""Parts of a data set in memory, and without what cannot be decoded."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from imaging.dicom_image import Frame
from imaging.spec import InputSpec, Intensity
from models.datasets.dataset import Examples
from models.datasets.files import FileExamples
from models.training.prepared import decodable, in_memory, prepared_bytes
from nightread.errors import RejectImage, RetryImage, StopWork
from nightread.reasons import Reason

SPEC = InputSpec(height=4, width=4, channels=1, intensity=Intensity(kind="full"))


def silent(_: int) -> None:
    """Nobody listens."""


def load(number: int) -> Frame:
    """A frame of the value `number`; number 3 and 4 are broken."""
    if number in (3, 4):
        raise RejectImage(Reason.BAD_PIXELS)
    return Frame(index=0, stored=np.full((4, 4), number, np.uint8), bits_stored=8)


def gone(_: int) -> Frame:
    raise RetryImage(Reason.MISSING_FILE)


@pytest.fixture
def examples() -> Examples:
    """Five images, the third of two frames, of which one is broken; the fourth is broken altogether."""
    return Examples(
        truth=np.eye(5, dtype=np.float32),
        image_of=np.array([0, 1, 2, 2, 3, 4]),
        patients=np.array([10, 11, 12, 13, 14]),
        names=["a", "b", "c", "d", "e"],
        load=load,
    )


@pytest.mark.parametrize("make_ready", [lambda of: in_memory(of, SPEC, silent), lambda of: decodable(of, SPEC, silent)])
def test_broken_frames_are_left_out_with_images_that_have_no_other(
    examples: Examples, make_ready: Callable[[Examples], tuple[Examples, int]]
) -> None:
    """Labels, patients and names of the others stay theirs."""
    ready, left_out = make_ready(examples)
    assert left_out == 2
    assert list(ready.names) == ["a", "b", "c", "e"]
    assert ready.patients.tolist() == [10, 11, 12, 14]
    assert ready.image_of.tolist() == [0, 1, 2, 3]
    assert ready.truth.argmax(axis=1).tolist() == [0, 1, 2, 4]
    values = ready.inputs([0, 1, 2, 3], SPEC).max(axis=(1, 2, 3)) * 255
    assert values.round().tolist() == [0, 1, 2, 5]


def test_progress_hears_of_every_frame(examples: Examples) -> None:
    """Of the broken ones too."""
    heard: list[int] = []
    in_memory(examples, SPEC, heard.append)
    assert sum(heard) == 6


def test_another_spec_is_prepared_anew(examples: Examples) -> None:
    """What lies in memory answers for its own spec only."""
    ready, _ = in_memory(examples, SPEC, silent)
    larger = InputSpec(height=8, width=8, channels=1, intensity=Intensity(kind="full"))
    assert ready.inputs([3], larger).shape == (1, 8, 8, 1)
    assert ready.inputs([3], larger).max() == pytest.approx(5 / 255)


def test_a_file_that_is_gone_stops_the_training(examples: Examples) -> None:
    """Nobody would know what else is missing."""
    lost = Examples(truth=examples.truth, image_of=examples.image_of, patients=None, names=examples.names, load=gone)
    with pytest.raises(StopWork, match="changed while they were read"):
        decodable(lost, SPEC, silent)


def test_the_room_that_inputs_take(examples: Examples) -> None:
    """Six frames of 16 pixels, four bytes each."""
    assert prepared_bytes(examples, SPEC) == 6 * 16 * 4


def test_what_is_left_is_read_in_the_way_of_the_whole(tmp_path: Path) -> None:
    """A file of many frames is read once for all that are asked for, with a broken file beside it or without."""
    for name in ("broken.png", "whole.png"):
        assert cv2.imwrite(str(tmp_path / name), np.full((4, 4), 200, np.uint8))
    (tmp_path / "broken.png").write_bytes((tmp_path / "whole.png").read_bytes()[:40])
    files = FileExamples.of(
        tmp_path, ["broken.png", "whole.png"], frames=[1, 1], truth=np.eye(2, dtype=np.float32), patients=None
    )
    ready, left_out = decodable(files, SPEC, silent)
    assert (left_out, list(ready.names)) == (1, ["whole.png"])
    unloadable = replace(ready, load=gone)
    assert unloadable.inputs([0], SPEC).max() == pytest.approx(200 / 255)
