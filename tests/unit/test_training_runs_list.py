"""Trainings are listed by their folders: finished, running, unfinished, and damaged ones."""

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hostile_texts import ALL, UNSAFE

from cli.models.runs import runs_command
from models.catalogue import SHIPPED
from models.training.checkpoint import FOLDER
from models.training.out_folder import reserved
from models.training.runs import TrainingRun, differing_settings, training_runs
from models.training.runs_page import write_run, write_runs

LOSSES = {"loss": [0.6, 0.4], "val_loss": [0.7, 0.5], "accuracy": [0.6, 0.8], "val_accuracy": [0.5, 0.7]}


def edited(path: Path, **values: Any) -> None:
    """Replace fields of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the shipped bundles, of which phantom was trained later, and has warnings."""
    for name in ("phantom", "mnist-cnn"):
        shutil.copytree(SHIPPED / name, tmp_path / "runs" / name)
    phantom = tmp_path / "runs" / "phantom"
    edited(phantom / "training.json", started_at="2026-11-29T20:00:00+00:00", warnings=["Leakage: 2 images"])
    edited(tmp_path / "runs" / "mnist-cnn" / "training.json", started_at="2026-11-28T20:00:00+00:00")
    return tmp_path / "runs"


def start(folder: Path, *, epochs: int) -> None:
    """Write the checkpoint of a training with this number of complete epochs."""
    record = json.loads((SHIPPED / "phantom" / "training.json").read_text())
    history = {name: values[:epochs] for name, values in LOSSES.items()}
    content = {"plan": {"recipe": record["recipe"], "data": record["data"]}, "history": history}
    (folder / FOLDER).mkdir(parents=True)
    named = {"model": "next@2.0", "started_at": "2026-11-30T20:00:00+00:00"}
    (folder / FOLDER / ("state.json" if epochs else "plan.json")).write_text(json.dumps(content | named))


def listed(*arguments: str) -> str:
    return CliRunner().invoke(runs_command, arguments, catch_exceptions=False, standalone_mode=False).stdout


def summary(folder: Path) -> list[tuple[str, str, int]]:
    return [(run.model, run.state, run.epochs) for run in training_runs([folder])]


def test_finished_trainings_are_listed_with_the_newest_first(folder: Path) -> None:
    """The folder itself may be a training, too, and a folder named twice is listed once."""
    assert summary(folder) == [("phantom@1.1", "finished", 14), ("mnist-cnn@1.1", "finished", 10)]
    assert len(training_runs([folder, folder / "phantom"])) == 2
    (run,) = training_runs([folder / "phantom"])
    assert run.figures["accuracy"] == pytest.approx(0.996)
    assert run.intervals["accuracy"][0] < run.figures["accuracy"] < run.intervals["accuracy"][1]
    assert (run.best_epoch, run.better_than_chance, run.warnings[0]) == (12, True, "Leakage: 2 images")


def test_a_training_that_runs_is_told_from_one_that_was_interrupted(folder: Path) -> None:
    """A training without a complete epoch is listed only while it runs, because there is nothing to resume."""
    start(folder / "next", epochs=2)
    start(folder / "early", epochs=0)
    assert summary(folder)[0] == ("next@2.0", "unfinished", 2)
    assert len(summary(folder)) == 3
    with reserved(folder / "early"):
        assert ("next@2.0", "running", 0) in summary(folder)


def test_a_bundle_and_the_training_that_will_replace_it_are_two_trainings(folder: Path) -> None:
    """With --overwrite, the old bundle stays until the new one is complete."""
    start(folder / "phantom", epochs=1)
    assert sorted(summary(folder / "phantom")) == [("next@2.0", "unfinished", 1), ("phantom@1.1", "finished", 14)]


def test_figures_of_another_bundle_or_part_are_not_shown(folder: Path) -> None:
    """Only the test part, measured with this bundle, tells how good the training was."""
    file = folder / "phantom" / "evaluation.json"
    document = json.loads(file.read_text())
    for changes in ({"digest": "0" * 64}, {"data": document["data"] | {"part": "validation"}}):
        file.write_text(json.dumps(document | changes))
        (run,) = training_runs([folder / "phantom"])
        assert (dict(run.figures), run.better_than_chance) == ({}, None)


def test_a_version_that_was_exported_from_a_training_is_no_other_training(folder: Path) -> None:
    """`models export` copies the record."""
    edited(folder / "phantom" / "training.json", model="phantom@1.0")
    assert [model for model, _, _ in summary(folder)] == ["mnist-cnn@1.1"]


@pytest.mark.parametrize("content", ["{", "[]", '{"recipe": 1}', '{"recipe": {}, "data": {}, "history": 3}'])
def test_damaged_records_are_named_and_do_not_hide_the_others(folder: Path, content: str) -> None:
    """One training has a sentence instead of figures."""
    (folder / "mnist-cnn" / "training.json").write_text(content)
    by_model = {run.model: run for run in training_runs([folder])}
    assert by_model["phantom@1.1"].state == "finished"
    assert by_model["mnist-cnn"].state == "unreadable"
    assert "its records are damaged" in str(by_model["mnist-cnn"].problem)
    assert "unreadable" in listed(str(folder))


def test_only_settings_that_differ_are_compared(folder: Path) -> None:
    """Between the two shipped trainings, the network differs and the interpolation does not."""
    names = differing_settings(training_runs([folder]))
    assert {"network", "spec.height", "epochs"} <= set(names)
    assert not {"spec.interpolation", "optimizer.beta"} & set(names)


def test_the_table_has_figures_and_names_leakage(folder: Path) -> None:
    """Leakage is printed below the table, because the figures are worth less than they seem."""
    lines = listed(str(folder)).splitlines()
    assert lines[0].split()[:4] == ["model", "state", "network", "data"]
    assert {"phantom@1.1", "finished", "14/14", "0.9960"} <= set(lines[1].split())
    assert "Leakage: 2 images" in lines[-1]


@pytest.mark.parametrize(
    ("sort", "first"), [("newest", "phantom@1.1"), ("auc", "mnist-cnn@1.1"), ("loss", "phantom@1.1")]
)
def test_the_best_training_comes_first(folder: Path, sort: str, first: str) -> None:
    """The lowest loss is the best, and a training without figures comes last."""
    start(folder / "next", epochs=1)
    printed = json.loads(listed(str(folder), "--sort", sort, "--format", "json"))
    models = [run["model"] for run in printed]
    assert (models[0] if sort != "newest" else models[1]) == first
    assert sort == "newest" or models[-1] == "next@2.0"


def test_programs_get_recipe_and_history(folder: Path) -> None:
    """JSON has all epochs; CSV has one column per setting, and no cell that a spreadsheet computes."""
    edited(folder / "phantom" / "training.json", warnings=["=1+1"])
    printed = json.loads(listed(str(folder), "--format", "json"))[0]
    assert (printed["recipe"]["network"], len(printed["history"]["val_loss"])) == ("detector", 14)
    assert printed["intervals"]["accuracy"]["low"] < printed["figures"]["accuracy"]
    rows = list(csv.DictReader(io.StringIO(listed(str(folder), "--format", "csv"))))
    assert (rows[0]["recipe.augmentation.flip"], rows[1]["recipe.augmentation.flip"]) == ("True", "False")
    assert (rows[0]["train_images"], rows[0]["labels"], rows[0]["accuracy"]) == ("10000", "clear nodule", "0.996")
    assert rows[0]["warnings"].startswith("'=1+1")


def test_without_trainings_the_command_that_makes_one_is_named(tmp_path: Path) -> None:
    """An empty folder is no error."""
    assert "nightread models train" in listed(str(tmp_path))


def test_the_page_has_curves_and_links_and_loads_nothing(folder: Path, tmp_path: Path) -> None:
    """The link to an evaluation is relative to the page, so that the folder can be moved with it."""
    (folder / "phantom" / "evaluation.html").write_text("<p>figures</p>")
    start(folder / "next", epochs=2)
    assert "Wrote" not in listed(str(folder), "--page", str(tmp_path / "runs.html"))
    page = (tmp_path / "runs.html").read_text()
    assert page.count("<svg") == 2 + 2 * 3  # both figures of all trainings together, and of each
    assert 'href="runs/phantom/evaluation.html"' in page
    assert "Leakage: 2 images" in page
    assert str(tmp_path) not in page
    assert not any(loading in page for loading in ("<script", "<link", "src=", "@import"))


def test_texts_of_a_bundle_change_nothing_on_the_page(tmp_path: Path) -> None:
    """Labels, names of networks and of files come from others."""
    text = f"{ALL}<script>"
    run = TrainingRun(
        folder=tmp_path,
        model="x@1",
        state="finished",
        recipe={"network": text, "epochs": 2},
        data={"reference": text, "split": text, "labels": [text], "images": {"train": 5}},
        history=LOSSES,
        warnings=(text,),
    )
    write_run(run, tmp_path / "training.html")
    write_runs([run, run], tmp_path / "runs.html")
    for page in (tmp_path / "training.html", tmp_path / "runs.html"):
        shown = page.read_text("utf-8")
        assert "<script" not in shown
        assert not UNSAFE.search(shown)
