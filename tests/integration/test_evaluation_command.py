"""`nightread models evaluate` and `compare` with the shipped bundle and films that it was not trained on."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import skip_reasons
from click.testing import CliRunner
from skip_reasons import SHARED_DATA

from cli.models.compare import compare_command
from cli.models.evaluate import evaluate_command
from models.bundle import load_bundle
from models.catalogue import SHIPPED
from nightread.errors import UsageFault

DATA = ("--data", "phantom:200")
FEW = ("--data", "phantom:60")


@pytest.fixture
def bundle_folder(tmp_path: Path) -> Path:
    """Copy the phantom bundle, so that the test can write to it."""
    return Path(shutil.copytree(SHIPPED / "phantom", tmp_path / "phantom"))


def _run(command: Any, *arguments: str) -> str:
    """Run a command and return its standard output. Errors are raised."""
    return CliRunner().invoke(command, arguments, catch_exceptions=False, standalone_mode=False).stdout


def test_an_evaluation_is_written_to_the_bundle_and_does_not_change_its_digest(bundle_folder: Path) -> None:
    """Standard output and the file hold the same document, and the bundle still loads."""
    (bundle_folder / "evaluation.json").unlink()
    printed = json.loads(_run(evaluate_command, str(bundle_folder), *DATA, "--json"))
    written = [Path(path) for path in printed.pop("written")]
    assert written == [bundle_folder / "evaluation.json", bundle_folder / "evaluation.html"]
    assert json.loads(written[0].read_text()) == printed
    assert printed["evaluation"]["accuracy"] > 0.9
    assert printed["evaluation"]["resampling"]["unit"] == "patient"
    assert printed["digest"] == load_bundle(bundle_folder).digest


def test_the_evaluation_of_the_training_is_not_overwritten(
    bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later evaluation on other data goes to another folder."""
    monkeypatch.chdir(tmp_path)
    before = (bundle_folder / "evaluation.json").read_bytes()
    _run(evaluate_command, str(bundle_folder), *FEW, "--part", "validation")
    assert (bundle_folder / "evaluation.json").read_bytes() == before
    assert (tmp_path / "phantom-evaluation" / "evaluation.html").is_file()


def test_without_json_a_table_is_printed(bundle_folder: Path, tmp_path: Path) -> None:
    """The table has intervals and one line per label; the path of the page and "Not for diagnosis." follow."""
    shown = _run(evaluate_command, str(bundle_folder), *FEW, "--out", str(tmp_path / "out"))
    assert all(word in shown for word in ("accuracy", " to ", "nodule", "Not for diagnosis.", "evaluation.html"))
    assert (tmp_path / "out" / "evaluation.html").is_file()
    assert not (bundle_folder / "evaluation.html").exists()


def test_two_bundles_are_compared_on_the_same_images(bundle_folder: Path) -> None:
    """A bundle and its copy agree on all images."""
    printed = json.loads(_run(compare_command, str(bundle_folder), "phantom", *FEW, "--json"))
    comparison = printed["comparison"]
    assert comparison["agreement"]["same_label"] == comparison["images"] == printed["first"]["data"]["images"]
    assert {of["difference"] for of in comparison["differences"]} == {0.0}


@pytest.mark.slow
def test_a_comparison_prints_whether_it_could_be_chance(bundle_folder: Path) -> None:
    """McNemar's p follows the table."""
    shown = _run(compare_command, str(bundle_folder), "phantom", *FEW)
    assert all(word in shown for word in ("both right", "McNemar", "difference", "Not for diagnosis."))


@pytest.mark.slow
def test_requirements_decide_the_exit_code_and_are_named_in_json(bundle_folder: Path, tmp_path: Path) -> None:
    """Continuous integration needs no parser: 1 if a figure is below its limit; page and file say which."""
    out = tmp_path / "out"
    arguments = [str(bundle_folder), *FEW, "--out", str(out), "--require", "auc>=0.9", "--require", "images>=1000"]
    ended = CliRunner().invoke(evaluate_command, [*arguments, "--json"])
    assert ended.exit_code == 1
    printed = json.loads(ended.stdout)
    assert not printed["passed"]
    assert printed["requirements"][1]["value"] == printed["evaluation"]["images"]
    checks = {check["requirement"]: check["met"] for check in printed["requirements"]}
    assert checks == {"auc>=0.9": True, "images>=1000": False}
    assert json.loads((out / "evaluation.json").read_text())["requirements"] == printed["requirements"]
    assert "not met" in (out / "evaluation.html").read_text()
    assert json.loads(_run(evaluate_command, *arguments[:-2], "--json"))["passed"]


def test_a_table_says_which_requirement_is_not_met(bundle_folder: Path, tmp_path: Path) -> None:
    """Each requirement has its value."""
    options = ("--out", str(tmp_path), "--require", "accuracy>=0.5", "--require", "loss<0", "--require", "images>=5")
    ended = CliRunner().invoke(evaluate_command, [str(bundle_folder), *FEW, *options])
    assert ended.exit_code == 1
    lines = [line.split() for line in ended.stdout.splitlines()]
    assert ["loss<0", "not", "met"] in [[line[0], *line[2:]] for line in lines if line]
    assert ["accuracy>=0.5", "met"] in [[line[0], *line[2:]] for line in lines if line]
    assert ["images>=5", "12", "met"] in lines


def test_a_wrong_requirement_is_refused_before_the_data_are_read(bundle_folder: Path) -> None:
    """The data set does not exist, so opening it would raise another error."""
    with pytest.raises(UsageFault, match="there is no label mass"):
        _run(evaluate_command, str(bundle_folder), "--data", "images:/nowhere", "--require", "recall[mass]>=0.9")


def test_other_labels_are_refused_before_the_network_is_loaded(bundle_folder: Path) -> None:
    """The message contains both lists of labels."""
    mnist = SHARED_DATA / "mnist"
    if not mnist.is_dir():
        pytest.skip(skip_reasons.NO_SHARED_DATA)
    with pytest.raises(UsageFault, match=r"0, 1, 2.*clear, nodule"):
        _run(evaluate_command, str(bundle_folder), "--data", f"mnist:{mnist}")


def test_a_folder_that_cannot_be_written_is_refused_before_the_images_are_scored(
    bundle_folder: Path, tmp_path: Path
) -> None:
    """The data set does not exist, so opening it would raise another error."""
    (tmp_path / "file").touch()
    with pytest.raises(UsageFault, match="Cannot create"):
        _run(evaluate_command, str(bundle_folder), "--data", "images:/nowhere", "--out", str(tmp_path / "file" / "out"))
