"""Class folders of pictures, phantoms, and the sample grid."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from cli.models.samples import samples_command
from imaging.kind import COLOUR, GREY
from imaging.read import read
from models.datasets import open_dataset
from models.datasets.dataset import Dataset
from models.datasets.grid import draw_samples
from models.phantoms.dicom import phantom_file
from nightread.errors import RejectImage, UsageFault
from nightread.reasons import Reason


def paint(folder: Path, label: str, count: int, *, suffix: str = ".png", colour: bool = False, first: int = 0) -> None:
    """Write pictures of different noise into a class folder."""
    (folder / label).mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        rng = np.random.default_rng([number, *label.encode()])
        pixels = rng.integers(0, 256, (20, 30, 3) if colour else (20, 30), np.uint8)
        assert cv2.imwrite(str(folder / label / f"{number}{suffix}"), pixels)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with 30 gray PNG pictures of cats and 10 gray JPEG pictures of dogs."""
    paint(tmp_path / "pets", "cat", 30)
    paint(tmp_path / "pets", "dog", 10, suffix=".jpg")
    return tmp_path / "pets"


def names(data: Dataset) -> list[set[str]]:
    return [set(part.names) for part in (data.train, data.validation, data.test)]


def test_pictures_are_split_by_content(folder: Path) -> None:
    """Each part has each class, each picture is in one part, and gray pictures have one channel."""
    data = open_dataset(f"images:{folder}")
    assert (data.labels, data.split, data.native_spec.shape) == (("cat", "dog"), "image", (20, 30, 1))
    assert sum(map(len, names(data))) == len(set.union(*names(data))) == 40
    for part in (data.train, data.validation, data.test):
        assert (part.truth.sum(axis=0) > 0).all()
        assert part.inputs(np.arange(len(part)), data.native_spec).shape == (len(part), 20, 30, 1)


def test_a_grey_picture_that_is_stored_in_colours_is_grey(folder: Path) -> None:
    """Its three channels are equal. One coloured picture shows that there are coloured ones."""
    assert cv2.imwrite(str(folder / "dog" / "x.png"), np.full((20, 30, 3), 90, np.uint8))
    assert {kind.samples for kind in open_dataset(f"images:{folder}").kinds} == {GREY}
    paint(folder, "dog", 1, colour=True, first=50)
    assert {kind.samples for kind in open_dataset(f"images:{folder}").kinds} == {GREY, COLOUR}


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_one_colour_picture_makes_the_input_colour(folder: Path, suffix: str) -> None:
    """The number of channels is read from the header."""
    paint(folder, "dog", 1, suffix=suffix, colour=True, first=50)
    data = open_dataset(f"images:{folder}")
    assert data.native_spec.shape == (20, 30, 3)
    assert data.train.inputs([0, 1], data.native_spec).shape == (2, 20, 30, 3)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_gray_pictures_with_three_equal_channels_are_gray(tmp_path: Path, suffix: str) -> None:
    """Many programs store gray pictures as RGB; 64 x 64 of them are trained as 64 x 64 x 1."""
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        for number in range(10):
            rng = np.random.default_rng([number, *label.encode()])
            gray = rng.integers(0, 256, (64, 64, 1), np.uint8)
            assert cv2.imwrite(str(tmp_path / label / f"{number}{suffix}"), np.repeat(gray, 3, axis=2))

    assert open_dataset(f"images:{tmp_path}").native_spec.shape == (64, 64, 1)


@pytest.mark.parametrize(("rows", "columns", "shape"), [(20, 31, (128, 128, 1)), (300, 300, (128, 128, 1))])
def test_pictures_of_different_or_large_sizes_have_a_default_size(
    folder: Path, rows: int, columns: int, shape: tuple[int, ...]
) -> None:
    """There is no size that all of them have, or a network of their size would be slow."""
    if rows > 256:
        for path in folder.rglob("*.*"):
            path.unlink()
    for label, first in (("cat", 0), ("dog", 100)):
        for number in range(first, first + 5):
            pixels = np.full((rows, columns), number, np.uint8)
            assert cv2.imwrite(str(folder / label / f"large-{number}.png"), pixels)

    assert open_dataset(f"images:{folder}").native_spec.shape == shape


def test_broken_pictures_are_counted(folder: Path) -> None:
    """Truncated, foreign and empty files are counted by reason."""
    for suffix in (".png", ".jpg"):
        whole = next(folder.rglob(f"*{suffix}")).read_bytes()
        (folder / "cat" / f"cut{suffix}").write_bytes(whole[:-40])
    (folder / "cat" / "notes.txt").write_text("no picture")
    (folder / "cat" / "empty.png").touch()
    data = open_dataset(f"images:{folder}")
    assert data.unreadable == {Reason.TRUNCATED: 2, Reason.BAD_PIXELS: 1, Reason.EMPTY: 1}
    assert sum(map(len, names(data))) == 40


def test_training_takes_the_pictures_that_serving_takes(folder: Path) -> None:
    """Bytes behind the end of a picture are allowed for both, and a missing end for neither."""
    for suffix in (".png", ".jpg"):
        whole = next(folder.rglob(f"*{suffix}")).read_bytes()
        for name, content in (("trailer", whole + b"SEFT" + bytes(300)), ("half", whole[: len(whole) // 2])):
            (folder / "cat" / f"{name}{suffix}").write_bytes(content)
    data = open_dataset(f"images:{folder}")
    taken = set.union(*names(data))
    assert data.unreadable == {Reason.TRUNCATED: 2}
    for path in sorted((folder / "cat").iterdir()):
        assert (f"cat/{path.name}" in taken) == is_taken_by_serving(path.read_bytes())
    assert {"cat/trailer.png", "cat/trailer.jpg"} < taken


def is_taken_by_serving(content: bytes) -> bool:
    """Read the file as a worker does."""
    try:
        return read(content, accept_raster=True).frame_count == 1
    except RejectImage:
        return False


def test_folders_of_parts_are_an_official_split(tmp_path: Path) -> None:
    """Without a folder `val`, validation is split off from `train` and not from `test`."""
    for part, count in (("train", 20), ("test", 6)):
        for label in ("cat", "dog"):
            paint(tmp_path / part, label, count)
    data = open_dataset(f"images:{tmp_path}")
    assert data.split == "official"
    assert [{name.split("/")[0] for name in part} for part in names(data)] == [{"train"}, {"train"}, {"test"}]
    assert len(data.test) == 12
    paint(tmp_path / "valid", "cat", 3)
    data = open_dataset(f"images:{tmp_path}")
    assert [{name.split("/")[0] for name in part} for part in names(data)] == [{"train"}, {"valid"}, {"test"}]


def test_a_layout_without_test_is_refused(tmp_path: Path) -> None:
    """Validation images must not be used as test images."""
    for part in ("train", "val"):
        paint(tmp_path / part, "cat", 3)
    with pytest.raises(UsageFault, match=r"none for the test\. Add a folder `test`"):
        open_dataset(f"images:{tmp_path}")


def test_data_that_cannot_be_trained_on_are_refused(folder: Path, tmp_path: Path) -> None:
    """There is one class, no class, no readable file, too few files, or a class without readable files."""
    paint(tmp_path / "one", "cat", 20)
    paint(tmp_path / "few", "cat", 1)
    paint(tmp_path / "few", "dog", 1)
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / "a.png").touch()
    (folder / "eel").mkdir()
    (folder / "eel" / "a.png").touch()
    for reference, message in (
        (f"images:{tmp_path / 'one'}", "cat is the only class. Add images of at least one other class"),
        (f"images:{tmp_path / 'flat'}", "no class folders with files. Arrange the files as FOLDER/CLASS/image"),
        (f"images:{tmp_path / 'few'}", r"no image is left for the \w+ part; 2 images can be read"),
        (f"images:{folder}", r"no training image has the label eel; cannot be read: eel/a.png \(empty\)\. Add images"),
    ):
        with pytest.raises(UsageFault, match=message):
            open_dataset(reference)


def test_phantoms_are_three_series() -> None:
    """Labels are known without drawing the films; films are drawn as DICOM on request."""
    data = open_dataset("phantom:40", seed=3)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [40, 4, 8]
    patients = [set(part.patients.tolist()) for part in (data.train, data.validation, data.test)]  # type: ignore[union-attr]
    assert sum(map(len, patients)) == len(set.union(*patients)) == 26
    assert data.split == "patient"
    for index, name in enumerate(data.test.names):
        _, seed, number = name.split("-")
        _, truth = phantom_file(seed=int(seed), index=int(number))
        assert data.labels[data.test.truth[index].argmax()] == truth.label
    assert data.test.inputs([0, 3], data.native_spec).shape == (2, 128, 128, 1)


def test_the_shipped_bundle_was_not_trained_on_the_test_phantoms() -> None:
    """With seed 0, only the training series is that of the shipped bundle."""
    data = open_dataset("phantom:20")
    series = [{name.split("-")[1] for name in part} for part in names(data)]
    assert series == [{"20261120"}, {"20261122"}, {"20261121"}]


def test_samples_have_equal_numbers_of_each_label(folder: Path) -> None:
    """They are prepared inputs of the given part; a label with too few images shows all of them."""
    data = open_dataset(f"images:{folder}")
    cats, dogs = draw_samples(data, data.train, count=8, seed=0)
    assert (len(cats.pictures), len(dogs.pictures)) == (4, 4)
    every = data.train.inputs(np.arange(len(data.train)), data.native_spec)
    for number, sample in enumerate((cats, dogs)):
        labelled = every[data.train.truth[:, number] == 1]
        assert sample.images_with == len(labelled)
        assert all((labelled == picture).all(axis=(1, 2, 3)).any() for picture in sample.pictures)
    few = draw_samples(data, data.train, count=1000, seed=0)[1]
    assert len(few.pictures) == few.images_with


def test_the_samples_command_writes_a_grid(folder: Path, tmp_path: Path) -> None:
    """Two blocks of four pictures are side by side on white; standard error describes the data set."""
    file = tmp_path / "grid.png"
    options = ["--data", f"images:{folder}", "--count", "8", "--out", str(file)]
    result = CliRunner().invoke(samples_command, options, catch_exceptions=False)
    assert result.stdout.strip() == str(file)
    assert "split: image" in result.stderr
    assert "dog" in result.stderr
    picture = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    line = picture[picture.shape[0] * 3 // 4]
    gaps = np.diff(np.flatnonzero(line < 250))
    assert (gaps > 20).sum() == 1, "one gap between two blocks"


def test_a_grid_that_cannot_be_written_is_a_usage_error(folder: Path, tmp_path: Path) -> None:
    """The folder does not exist, and the message names the remedy."""
    file = tmp_path / "no" / "such" / "grid.png"
    with pytest.raises(UsageFault, match=r"Cannot write .* Choose another file with --out"):
        CliRunner().invoke(samples_command, ["--data", f"images:{folder}", "--out", str(file)], catch_exceptions=False)


def test_a_picture_that_cannot_be_decoded_is_left_out_of_the_grid(folder: Path) -> None:
    """Start and end of the file are valid, so that only decoding fails."""
    broken = folder / "dog" / "broken.png"
    content = (folder / "cat" / "0.png").read_bytes()
    begin = content.index(b"IDAT") + 4
    broken.write_bytes(content[:begin] + bytes(60) + content[begin + 60 :])
    data = open_dataset(f"images:{folder}")
    part = next(part for part in (data.train, data.validation, data.test) if "dog/broken.png" in part.names)
    samples = draw_samples(data, part, count=100, seed=0)
    assert [sample.images_with - len(sample.pictures) for sample in samples] == [0, 1]
    assert all(len(sample.other_labels) == len(sample.pictures) for sample in samples)


def test_a_negative_seed_is_a_usage_error(folder: Path) -> None:
    """Random number generators do not accept it."""
    result = CliRunner().invoke(samples_command, ["--data", f"images:{folder}", "--seed", "-1"])
    assert (result.exit_code, "-1 is not in the range" in result.output) == (2, True)


def test_pipes_and_dead_links_are_counted_as_unreadable(folder: Path) -> None:
    """Reading the pipe would wait forever."""
    os.mkfifo(folder / "cat" / "pipe.png")
    (folder / "cat" / "link.png").symlink_to(folder / "gone.png")
    assert open_dataset(f"images:{folder}").unreadable == {Reason.UNREADABLE: 2}


def test_a_class_folder_with_control_characters_is_refused(folder: Path) -> None:
    """No bundle may have such a label, so that it is said before the training and not after it."""
    paint(folder, "b\x1b[31mad", 8)
    with pytest.raises(UsageFault, match="control characters") as refused:
        open_dataset(f"images:{folder}")
    assert "\x1b" not in str(refused.value)


def test_a_class_folder_without_files_is_refused(folder: Path) -> None:
    """Otherwise a network without this label would be trained, and nobody told. Hidden folders are no classes."""
    (folder / ".cache").mkdir()
    open_dataset(f"images:{folder}")
    (folder / "eel").symlink_to(folder / "cat")
    with pytest.raises(UsageFault, match=r"the class folder eel has no files.*Add images to it.*links to folders"):
        open_dataset(f"images:{folder}")


def test_a_class_may_be_missing_in_one_part(tmp_path: Path) -> None:
    """It has images in another part; folders beside the parts are no classes."""
    for part, label in (("train", "cat"), ("train", "dog"), ("val", "cat"), ("test", "cat")):
        paint(tmp_path / part, label, 3)
    (tmp_path / "test" / "dog").mkdir()
    (tmp_path / "notes").mkdir()
    assert open_dataset(f"images:{tmp_path}").labels == ("cat", "dog")
    (tmp_path / "train" / "eel").mkdir()
    with pytest.raises(UsageFault, match="the class folder eel has no files"):
        open_dataset(f"images:{tmp_path}")
