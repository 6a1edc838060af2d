"""Parts of a data set are prepared in memory, without undecodable frames."""

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
    """Ignore progress."""


def load(number: int) -> Frame:
    """Return a frame with the value `number`; frames 3 and 4 cannot be decoded."""
    if number in (3, 4):
        raise RejectImage(Reason.BAD_PIXELS)
    return Frame(index=0, stored=np.full((4, 4), number, np.uint8), bits_stored=8)


def load_missing(_: int) -> Frame:
    """Raise the error for a file that no longer exists."""
    raise RetryImage(Reason.MISSING_FILE)


@pytest.fixture
def examples() -> Examples:
    """Return five images. The third has two frames, of which one is broken; the only frame of the fourth is broken."""
    return Examples(
        truth=np.eye(5, dtype=np.float32),
        image_of=np.array([0, 1, 2, 2, 3, 4]),
        patients=np.array([10, 11, 12, 13, 14]),
        names=["a", "b", "c", "d", "e"],
        load=load,
    )


@pytest.mark.parametrize("prepare_part", [in_memory, decodable])
def test_broken_frames_and_images_without_other_frames_are_left_out(
    examples: Examples, prepare_part: Callable[..., tuple[Examples, int]]
) -> None:
    """The other images keep their labels, patients and names."""
    ready, left_out = prepare_part(examples, SPEC, silent)
    assert left_out == 2
    assert list(ready.names) == ["a", "b", "c", "e"]
    assert ready.patients.tolist() == [10, 11, 12, 14]
    assert ready.image_of.tolist() == [0, 1, 2, 3]
    assert ready.truth.argmax(axis=1).tolist() == [0, 1, 2, 4]
    values = ready.inputs([0, 1, 2, 3], SPEC).max(axis=(1, 2, 3)) * 255
    assert values.round().tolist() == [0, 1, 2, 5]


def test_progress_is_called_for_each_frame(examples: Examples) -> None:
    """Broken frames count too."""
    steps: list[int] = []
    in_memory(examples, SPEC, steps.append)
    assert sum(steps) == 6


def test_another_spec_is_prepared_again(examples: Examples) -> None:
    """Inputs in memory are used only for their own spec."""
    ready, _ = in_memory(examples, SPEC, silent)
    larger = InputSpec(height=8, width=8, channels=1, intensity=Intensity(kind="full"))
    assert ready.inputs([3], larger).shape == (1, 8, 8, 1)
    assert ready.inputs([3], larger).max() == pytest.approx(5 / 255)


def test_a_missing_file_stops_the_training(examples: Examples) -> None:
    """More files may be missing, so that the training must not continue."""
    lost = Examples(
        truth=examples.truth, image_of=examples.image_of, patients=None, names=examples.names, load=load_missing
    )
    with pytest.raises(StopWork, match="changed while it was read"):
        decodable(lost, SPEC, silent)


def test_the_memory_of_inputs(examples: Examples) -> None:
    """Six frames have 16 pixels of four bytes each."""
    assert prepared_bytes(examples, SPEC) == 6 * 16 * 4


def test_a_subset_is_read_by_the_methods_of_the_complete_part(tmp_path: Path) -> None:
    """Files are read by FileExamples.inputs, which reads each file once, not frame by frame through `load`."""
    for name in ("broken.png", "whole.png"):
        assert cv2.imwrite(str(tmp_path / name), np.full((4, 4), 200, np.uint8))
    (tmp_path / "broken.png").write_bytes((tmp_path / "whole.png").read_bytes()[:40])
    files = FileExamples.from_files(
        tmp_path, ["broken.png", "whole.png"], frames=[1, 1], truth=np.eye(2, dtype=np.float32), patients=None
    )
    ready, left_out = decodable(files, SPEC, silent)
    assert (left_out, list(ready.names)) == (1, ["whole.png"])
    unloadable = replace(ready, load=load_missing)
    assert unloadable.inputs([0], SPEC).max() == pytest.approx(200 / 255)
