"""An evaluation leaves out the series to which the bundle gives no result in use, and says so."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from click.testing import CliRunner, Result
from ledger_driver import LedgerDriver
from pydicom.dataset import Dataset as Header
from worker_driver import BUNDLE, FakeNetwork, WorkerDriver

from cli.models import models_command
from db import ledger, queries
from imaging.series.rules import SeriesRefusal, SeriesRules
from models.datasets import open_dataset
from models.datasets.dataset import Dataset
from models.evaluation.admission import admitted
from models.phantoms.ct_habits import SeriesHabit
from models.phantoms.ct_series import CtStyle, write_ct_series
from models.routing import Rule, Rules
from models.series.spec import SeriesSpec
from models.training.train_head import HEAD_TRAINING_FILE
from nightread.errors import UsageFault
from worker.inference.model_set import LoadedModel, ModelSet
from worker.inference.predictor import Predictor
from worker.series.form import form_due_series

RULES = SeriesRules(minimum_slices=10, spacing_mm=(4.0, 6.0), orientation="axial")
REFUSED = {
    SeriesRefusal.TOO_FEW_SLICES: "test/series-00002",
    SeriesRefusal.SLICE_SPACING: "test/series-00003",
    SeriesRefusal.SLICE_ORIENTATION: "test/series-00004",
}
"""The series of the test part that the rules refuse; those with the numbers 0 and 1 fit."""
COUNTS = {reason.value: 1 for reason in REFUSED}
PLAIN = CtStyle(slices=12, size=32, habit=SeriesHabit.PLAIN)


def change(folder: Path, edit: Callable[[Header], None]) -> None:
    for path in folder.glob("*.dcm"):
        header = pydicom.dcmread(path)
        edit(header)
        header.save_as(path)


def closer(header: Header) -> None:
    """Halve the distance of the slices to 2.5 mm."""
    x, y, z = header.ImagePositionPatient
    header.ImagePositionPatient = [x, y, z / 2]


def coronal(header: Header) -> None:
    """Turn the slice upright, at the same distance from its neighbours."""
    x, y, z = header.ImagePositionPatient
    header.ImagePositionPatient, header.ImageOrientationPatient = [x, z, y], [1, 0, 0, 0, 0, -1]


def shorten(folder: Path) -> None:
    """Keep nine slices, one fewer than the rules require."""
    paths = sorted(folder.glob("*.dcm"), key=lambda path: float(pydicom.dcmread(path).ImagePositionPatient[2]))
    for path in paths[9:]:
        path.unlink()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with series in three parts, and the file of their labels.

    In the test part each rule refuses one of five series, and a sixth one is ambiguous. In the training part one is too
    short.
    """
    folder = tmp_path_factory.mktemp("series")
    rows = ["series_instance_uid,nodule"]
    for seed, (part, habit, count) in enumerate(
        [
            ("train", PLAIN.habit, 4),
            ("val", PLAIN.habit, 4),
            ("test", PLAIN.habit, 5),
            ("test/odd", SeriesHabit.AMBIGUOUS, 1),
        ]
    ):
        written = write_ct_series(folder / "files" / part, count=count, seed=seed, style=replace(PLAIN, habit=habit))
        rows += [f"{each.series_instance_uid},{number % 2}" for number, each in enumerate(written)]
    (folder / "labels.csv").write_text("\n".join(rows))
    files = folder / "files"
    shorten(files / REFUSED[SeriesRefusal.TOO_FEW_SLICES])
    change(files / REFUSED[SeriesRefusal.SLICE_SPACING], closer)
    change(files / REFUSED[SeriesRefusal.SLICE_ORIENTATION], coronal)
    shorten(files / "train" / "series-00000")
    return folder


@pytest.fixture
def options(folder: Path, tmp_path: Path) -> list[str]:
    data = ["--data", f"dicom-series:{folder / 'files'}", "--labels", str(folder / "labels.csv")]
    return [*data, "--state", str(tmp_path / "state")]


@pytest.fixture
def dataset(folder: Path) -> Dataset:
    return open_dataset(f"dicom-series:{folder / 'files'}", labels_file=folder / "labels.csv")


@pytest.fixture
def worker_driver(ledger_driver: LedgerDriver, tmp_path: Path, redis_url: str, bundle_id: int) -> WorkerDriver:
    """Return a driver with an empty inbox."""
    return WorkerDriver(ledger_driver=ledger_driver, folder=tmp_path, redis_url=redis_url, bundle_id=bundle_id)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(models_command, list(arguments), catch_exceptions=False)


def for_series(tmp_path: Path, version: str, *options: str) -> str:
    """Return the folder of a version of ct-nodule with other rules."""
    made = tmp_path / version
    rules = ["--version", version, "--aggregate", "max", "--out", str(made), *options]
    assert run("for-series", "ct-nodule", *rules, "--state", str(tmp_path / "state")).exit_code == 0
    return str(made)


def test_the_same_series_are_refused_as_by_a_worker(
    worker_driver: WorkerDriver, folder: Path, dataset: Dataset
) -> None:
    """For the same reasons: a worker forms no result of these series, and of the ambiguous one."""
    bundle = replace(BUNDLE, name="slices", digest="s" * 64, series=SeriesSpec(aggregate="mean", rules=RULES))
    test = folder / "files" / "test"
    shutil.copytree(test, worker_driver.inbox, dirs_exist_ok=True)
    worker_driver.register()
    bundle_id = ledger.register_bundle(
        worker_driver.ledger_driver.database,
        name=bundle.name,
        version=bundle.version,
        digest=bundle.digest,
        labels=bundle.postprocessing.labels,
        normal_label=bundle.postprocessing.normal_label,
        of_series=True,
        now=worker_driver.ledger_driver.clock(),
    )
    model = LoadedModel(predictor=Predictor(bundle, FakeNetwork()), bundle_id=bundle_id)
    models = ModelSet(Rules([Rule(bundle=bundle.reference)]), {bundle.reference: model})
    context = worker_driver.context(model_set=models, model=bundle.reference)
    worker_driver.analyse(context)
    ledger.mark_all_due(context.database)
    form_due_series(context)
    without_result = [result.reason for result in queries.series_list(context.database) if result.reason is not None]

    kept, refused = admitted(bundle, dataset.test, "test")
    assert {each.reason: [name.rpartition("/")[0] for name in each.names] for each in refused} == {
        reason: [name] for reason, name in REFUSED.items()
    }
    assert sorted(without_result) == ["ambiguous_series", *["series_rules"] * len(refused)]
    assert dataset.refused_series == {SeriesRefusal.AMBIGUOUS_SERIES: 1}
    assert [name.split("/")[1] for name in kept.names] == ["series-00000", "series-00001"]


def test_the_figures_are_those_of_the_other_series(options: list[str], tmp_path: Path) -> None:
    """The output, evaluation.json and the page say what was left out; only evaluation.json names no file."""
    done = run("evaluate", "ct-nodule", *options, "--out", str(tmp_path / "out"), "--json")
    found = json.loads(done.stdout)
    assert (found["data"]["images"], found["data"]["frames"], found["evaluation"]["images"]) == (2, 24, 2)
    assert found["data"]["refused_stacks"] == COUNTS
    assert found["data"]["refused_series"] == {"ambiguous_series": 1}
    assert REFUSED[SeriesRefusal.TOO_FEW_SLICES] not in done.stdout
    page = (tmp_path / "out" / "evaluation.html").read_text()
    for reason, name in REFUSED.items():
        for text in (done.stderr.replace("\n", " "), page):
            assert f"1 stack, {reason.value}: refused by ct-nodule@1.1" in text
            assert name in text
    assert "1 series: ambiguous_series" in page


def test_a_bundle_with_other_rules_is_measured_on_other_series(options: list[str], tmp_path: Path) -> None:
    """Rules that refuse nothing leave nothing out."""
    done = run("evaluate", for_series(tmp_path, "8"), *options, "--out", str(tmp_path / "out"), "--json")
    data = json.loads(done.stdout)["data"]
    assert (data["images"], data["refused_stacks"]) == (5, {})


def test_both_models_of_a_comparison_are_measured_on_the_same_series(options: list[str], tmp_path: Path) -> None:
    """A series that one of them refuses is left out of the figures of both."""
    done = run("compare", for_series(tmp_path, "8", "--spacing", "4", "6"), "ct-nodule", *options, "--json")
    found = json.loads(done.stdout)
    for model in ("first", "second"):
        assert found[model]["evaluation"]["images"] == 2
        assert found[model]["data"]["refused_stacks"] == COUNTS
    said = done.stderr.replace("\n", " ")
    assert "1 stack, slice_spacing: refused by ct-nodule@8" in said
    assert "1 stack, too_few_slices: refused by ct-nodule@1.1" in said


def test_an_evaluation_without_any_series_left_is_wrong_usage(options: list[str], tmp_path: Path) -> None:
    """The message says what to do."""
    strict = for_series(tmp_path, "8", "--minimum-slices", "99")
    with pytest.raises(UsageFault, match=r"of the test part .* refuse 5 stacks \(too_few_slices 5\).*for-series"):
        run("evaluate", strict, *options, "--out", str(tmp_path / "out"))


@pytest.mark.slow
def test_a_sequence_head_learns_from_series_that_it_will_see(options: list[str], tmp_path: Path) -> None:
    """All three parts are without the series that the rules refuse; the record says how many there were."""
    made = ["--version", "9", "--out", str(tmp_path / "made"), "--epochs", "1"]
    done = run("train-head", "ct-nodule", *options, *made, "--json")
    assert json.loads(done.stdout)["evaluation"]["images"] == 2
    record = json.loads((tmp_path / "made" / HEAD_TRAINING_FILE).read_text())
    assert record["data"]["refused_stacks"] == {"train": {"too_few_slices": 1}, "validation": {}, "test": COUNTS}
    said = done.stderr.replace("\n", " ")
    assert "left out of the train part: 1 stack, too_few_slices" in said
    assert "left out of the test part: 1 stack, slice_spacing" in said
    measured = json.loads((tmp_path / "made" / "evaluation.json").read_text())
    assert measured["data"]["refused_stacks"] == COUNTS
