"""A folder of series is a data set: an image is a stack, a frame a slice with its neighbours."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from cli.models.training_options import recipe_from
from imaging.input_channel import InputChannel
from imaging.prepare import prepare
from imaging.read import read
from imaging.series.rules import SeriesRefusal
from models.datasets import open_dataset
from models.datasets.dataset import Dataset
from models.datasets.subset import without_frames
from models.phantoms.ct_habits import SeriesHabit
from models.phantoms.ct_series import CtSeries, CtStyle, write_ct_series, write_series_labels, write_slice_labels
from models.training.prepared import in_memory
from nightread.errors import UsageFault

SERIES = 16
SLICES = 16


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[CtSeries]]:
    """Return a folder with 16 series of 8 patients, and their truth."""
    folder = tmp_path_factory.mktemp("series")
    style = CtStyle(slices=SLICES, size=32, habit=SeriesHabit.RENUMBERED)
    return folder, list(write_ct_series(folder, count=SERIES, seed=2, style=style))


@pytest.fixture
def by_slice(written: tuple[Path, list[CtSeries]], tmp_path: Path) -> Dataset:
    folder, truths = written
    write_slice_labels(tmp_path / "slices.csv", truths)
    return open_dataset(f"dicom-series:{folder}", labels_file=tmp_path / "slices.csv")


def parts_of(data: Dataset) -> list[str]:
    return [name.split("/")[0] for part in (data.train, data.validation, data.test) for name in part.names]


def test_series_are_images_and_slices_are_frames(by_slice: Dataset) -> None:
    """Each series is in one part, with both series of its patient."""
    assert sorted(parts_of(by_slice)) == [f"series-{index:05d}" for index in range(SERIES)]
    assert (by_slice.split, by_slice.labels, by_slice.exclusive) == ("patient", ("nodule",), False)
    assert by_slice.of_series
    for part in (by_slice.train, by_slice.validation, by_slice.test):
        patients = {int(name.split("/")[0].removeprefix("series-")) // 2 for name in part.names}
        assert part.images == 2 * len(patients)
        assert len(part) == part.images * SLICES


def test_labels_of_slices_make_those_of_their_series(by_slice: Dataset, written: tuple[Path, list[CtSeries]]) -> None:
    """A series has a label if one of its slices has it."""
    truth = {f"series-{index:05d}": each for index, each in enumerate(written[1])}
    for part in (by_slice.train, by_slice.validation, by_slice.test):
        assert part.slice_truth is not None
        for stack, name in enumerate(part.names):
            series = truth[name.split("/")[0]]
            of_slices = part.frame_truth[part.image_of == stack, 0]
            assert int(of_slices.sum()) == sum(file.has_nodule for file in series.files)
            assert part.truth[stack, 0] == (series.label == "nodule")


def test_inputs_have_the_neighbours_of_their_own_series(
    by_slice: Dataset, written: tuple[Path, list[CtSeries]]
) -> None:
    """By position, although the numbers of the slices are in no order; the ends repeat."""
    part = by_slice.train
    spec = replace(
        by_slice.native_spec, channels=3, meanings=tuple(InputChannel(offset=offset) for offset in (-1, 0, 1))
    )
    inputs = part.inputs(np.arange(2 * SLICES), spec)
    folder = written[0]
    for stack in (0, 1):
        place = (folder / part.names[stack]).parent
        images = [read(path.read_bytes()) for path in place.iterdir()]
        images.sort(key=lambda image: image.elements.numbers(0x00200032)[2] if image.elements else 0)
        plain = [prepare(next(image.frames()), by_slice.native_spec)[..., 0] for image in images]
        for index in range(SLICES):
            found = inputs[stack * SLICES + index]
            for channel, offset in enumerate((-1, 0, 1)):
                np.testing.assert_array_equal(found[..., channel], plain[min(max(index + offset, 0), SLICES - 1)])


def test_any_order_of_slices_gives_the_same_inputs(by_slice: Dataset) -> None:
    """A training shuffles them."""
    spec = replace(by_slice.native_spec, channels=2, meanings=(InputChannel(offset=-2), InputChannel(offset=1)))
    chosen = np.random.default_rng(1).permutation(len(by_slice.train))[:20]
    expected = by_slice.train.inputs(np.arange(len(by_slice.train)), spec)[chosen]
    np.testing.assert_array_equal(by_slice.train.inputs(chosen, spec), expected)


def test_labels_of_slices_survive_what_a_training_does(by_slice: Dataset) -> None:
    """Prepared in memory, and without frames that cannot be decoded."""
    part = by_slice.train
    kept, lost = in_memory(part, by_slice.native_spec, lambda _: None)
    assert lost == 0
    np.testing.assert_array_equal(kept.frame_truth, part.frame_truth)
    left_out = np.zeros(len(part), bool)
    left_out[3] = True
    np.testing.assert_array_equal(without_frames(part, left_out).frame_truth, np.delete(part.frame_truth, 3, axis=0))


def test_another_network_can_be_measured_on_the_same_examples(by_slice: Dataset) -> None:
    """`models compare` prepares slices for one network, and then for one that needs their neighbours."""
    spec = replace(by_slice.native_spec, channels=2, meanings=(InputChannel(offset=-1), InputChannel()))
    single, _ = in_memory(by_slice.test, by_slice.native_spec, lambda _: None)
    both, lost = in_memory(single, spec, lambda _: None)
    assert lost == 0
    everything = np.arange(len(by_slice.test))
    np.testing.assert_array_equal(both.inputs(everything, spec), by_slice.test.inputs(everything, spec))
    left_out = np.zeros(len(single), bool)
    left_out[2] = True
    fewer, _ = in_memory(without_frames(single, left_out), spec, lambda _: None)
    np.testing.assert_array_equal(fewer.inputs([2], spec), by_slice.test.inputs([3], spec))


def test_series_can_be_labelled_whole(written: tuple[Path, list[CtSeries]], tmp_path: Path) -> None:
    """By their UID; each slice then has the label of its series."""
    folder, truths = written
    write_series_labels(tmp_path / "labels.csv", truths)
    data = open_dataset(f"dicom-series:{folder}", labels_file=tmp_path / "labels.csv")
    assert (data.labels, data.exclusive, data.train.slice_truth) == (("clear", "nodule"), True, None)
    np.testing.assert_array_equal(data.train.frame_truth, data.train.truth[data.train.image_of])


def test_class_folders_label_series(tmp_path: Path) -> None:
    """FOLDER/CLASS/series; an ambiguous series is left out and counted."""
    for seed, (name, habit) in enumerate(
        [("a", SeriesHabit.PLAIN), ("b", SeriesHabit.TWO_STACKS), ("b/odd", SeriesHabit.AMBIGUOUS)]
    ):
        style = CtStyle(slices=16, size=32, habit=habit)
        list(write_ct_series(tmp_path / name, count=1 if "odd" in name else 8, seed=seed, style=style))
    data = open_dataset(f"dicom-series:{tmp_path}")
    assert data.refused_series == {SeriesRefusal.AMBIGUOUS_SERIES: 1}
    stacks = sum(part.images for part in (data.train, data.validation, data.test))
    assert stacks == 8 + 2 * 8  # each of two stacks is an example


def test_one_label_per_slice_is_refused(written: tuple[Path, list[CtSeries]], tmp_path: Path) -> None:
    """It says not which label the series has."""
    folder, truths = written
    rows = [f"{file.sop_instance_uid},{'ab'[file.has_nodule]}" for each in truths for file in each.files]
    (tmp_path / "labels.csv").write_text("\n".join(["sop_instance_uid,label", *rows]))
    with pytest.raises(UsageFault, match="0 and 1 per label"):
        open_dataset(f"dicom-series:{folder}", labels_file=tmp_path / "labels.csv")


def test_neighbours_need_series(by_slice: Dataset) -> None:
    """Single images have none: the training does not begin."""
    options = {
        **dict.fromkeys(("batch_size", "learning_rate", "optimizer", "channels", "intensity", "aspect", "patience")),
        "meanings": ({"offset": -1}, {"offset": 0}),
        "seed": 0,
        "epochs": 1,
        "schedule": "cosine",
        "rotate": 0.0,
        "shift": 0.0,
        "flip": False,
        "class_weights": False,
        "mixed_precision": "off",
        "threshold_policy": "youden",
    }
    recipe = recipe_from(by_slice, network="detector", size=None, pretrained=None, **options)
    assert recipe.spec.channels == 2
    with pytest.raises(UsageFault, match="dicom-series"):
        recipe_from(replace(by_slice, of_series=False), network="detector", size=None, pretrained=None, **options)


def change_files(folder: Path, **values: str) -> None:
    """Replace header values in all files below a folder."""
    for path in folder.rglob("*.dcm"):
        dataset = pydicom.dcmread(path)
        for name, value in values.items():
            setattr(dataset, name, value)
        dataset.save_as(path)


def class_folders(folder: Path, habit: SeriesHabit = SeriesHabit.PLAIN, *, seed: int = 0, count: int = 6) -> Path:
    """Write `count` series, two of each patient, for each of two classes, `a` and `b`."""
    style = CtStyle(slices=16, size=32, habit=habit)
    for number, name in enumerate("ab"):
        list(write_ct_series(folder / name, count=count, seed=2 * seed + number, style=style))
    return folder


def test_series_of_two_patients_with_one_uid_stay_apart(tmp_path: Path) -> None:
    """Anonymised files may share UIDs; slices of two patients must not become one stack."""
    shared = class_folders(tmp_path) / "a"
    change_files(shared / "series-00000", SeriesInstanceUID="1.2.3", StudyInstanceUID="1.2")
    change_files(shared / "series-00002", SeriesInstanceUID="1.2.3", StudyInstanceUID="1.2")
    change_files(shared / "series-00003", SeriesInstanceUID="1.2.3", StudyInstanceUID="1.3")
    data = open_dataset(f"dicom-series:{tmp_path}")
    parts = (data.train, data.validation, data.test)
    assert data.refused_series == {}
    assert sum(part.images for part in parts) == 12
    assert {int((part.image_of == stack).sum()) for part in parts for stack in range(part.images)} == {16}


def test_stacks_of_one_study_are_in_one_part_if_no_patient_is_known(tmp_path: Path) -> None:
    """They show the same body."""
    change_files(class_folders(tmp_path, SeriesHabit.TWO_STACKS), PatientID="")
    data = open_dataset(f"dicom-series:{tmp_path}")
    assert data.split == "image"
    series = [{name.rpartition("/")[0] for name in part.names} for part in (data.train, data.validation, data.test)]
    assert sum(map(len, series)) == 12


def test_a_series_in_two_given_parts_is_refused(tmp_path: Path) -> None:
    """A split by slices would train on the series of the test part."""
    for seed, part in enumerate(("train", "val", "test")):
        class_folders(tmp_path / part, seed=seed, count=2)
    moved = tmp_path / "train" / "a" / "series-00000" / "0003.dcm"
    moved.rename(tmp_path / "test" / "a" / "moved.dcm")
    with pytest.raises(UsageFault, match=r"one series, .* are in several of the folders"):
        open_dataset(f"dicom-series:{tmp_path}")


def test_shared_patients_of_given_parts_are_leakage(tmp_path: Path) -> None:
    """The CSV file tells them apart, and their headers do not."""
    rows = ["series_instance_uid,label,patient"]
    for seed, part in enumerate(("train", "val", "test")):
        style = CtStyle(slices=16, size=32, habit=SeriesHabit.PLAIN)
        found = list(write_ct_series(tmp_path / part / "x", count=2, seed=seed, style=style))
        rows += [f"{each.series_instance_uid},{'ab'[number % 2]},{part}{number}" for number, each in enumerate(found)]
    change_files(tmp_path / "train" / "x" / "series-00000", PatientID="SAME")
    change_files(tmp_path / "test" / "x" / "series-00000", PatientID="SAME")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    data = open_dataset(f"dicom-series:{tmp_path}", labels_file=tmp_path / "labels.csv")
    assert [(leak.what, leak.part, leak.seen_in, leak.images) for leak in data.leaks] == [
        ("patient", "test", "training", 1)
    ]
