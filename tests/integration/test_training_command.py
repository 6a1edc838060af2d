"""Test `nightread models train` as a program: its output, interruption, and another Keras backend."""

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import skip_reasons
from click.testing import CliRunner

from cli.models.train import train_command
from models.bundle import load_bundle
from models.datasets import open_dataset
from models.evaluation.measure import measure
from models.networks.network import load_network
from models.networks.scoring import score
from nightread.errors import UsageFault

ROOT = Path(__file__).parents[2]
SMALL = ["--data", "phantom:40", "--network", "classic", "--size", "28", "--batch-size", "8"]


def command(folder: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "cli", "models", "train", *SMALL, "--out", str(folder), *options]


def finished(folder: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(folder, *options),
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def stopped(folder: Path, by: int, *options: str) -> tuple[int, str]:
    """Return exit code and standard error of a training that gets a signal after its first epoch."""
    with subprocess.Popen(
        command(folder, *options),
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        preexec_fn=_accept_ctrl_c,  # noqa: PLW1509 - one system call
    ) as process:
        assert process.stderr
        for line in process.stderr:
            if line.startswith("epoch "):
                process.send_signal(by)
                break
        rest = process.stderr.read()
        return process.wait(60), rest


def _accept_ctrl_c() -> None:
    """Handle SIGINT by default: a shell makes its background processes, and their children, ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def epochs_in(stderr: str) -> list[int]:
    return [int(number) for number in re.findall(r"^epoch (\d+)/", stderr, re.MULTILINE)]


@pytest.mark.slow
def test_a_killed_and_an_interrupted_training_resume_to_the_same_result(tmp_path: Path) -> None:
    """No complete epoch is run twice; Ctrl-C prints how to continue."""
    folder = tmp_path / "bundle"
    plan = ["--epochs", "40", "--name", "sides", "--normal-label", "clear"]
    code, _ = stopped(folder, signal.SIGKILL, *plan)
    assert code == -signal.SIGKILL
    code, stderr = stopped(folder, signal.SIGINT, *plan, "--resume")
    assert code == 130
    assert "--resume" in stderr
    assert not (folder / "bundle.json").exists()
    kept = len(json.loads((folder / "checkpoint" / "state.json").read_text())["history"]["loss"])
    last = finished(folder, *plan, "--resume", "--json")
    assert last.returncode == 0
    assert epochs_in(last.stderr) == list(range(kept + 1, 41))
    report = json.loads(last.stdout)
    assert report["model"] == "sides@1.0"
    assert len(report["training"]["history"]["loss"]) == 40
    assert list(report["thresholds"]) == ["nodule"]
    assert load_bundle(folder).digest == report["digest"]
    assert not (folder / "checkpoint").exists()


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason=skip_reasons.JAX)
@pytest.mark.slow
def test_jax_trains_what_tensorflow_serves(tmp_path: Path) -> None:
    """With KERAS_BACKEND=jax the bundle gives the same scores on TensorFlow as in its evaluation on JAX."""
    folder = tmp_path / "bundle"
    done = finished(folder, "--epochs", "2", "--json", KERAS_BACKEND="jax", JAX_PLATFORMS="cpu")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["training"]["backend"] == "jax"
    bundle = load_bundle(folder)
    again = measure(bundle.postprocessing, score(load_network(bundle), open_dataset("phantom:40").test))
    assert again.accuracy == report["evaluation"]["accuracy"]
    assert again.loss == pytest.approx(report["evaluation"]["loss"], abs=1e-4)


def test_the_text_output_is_a_table_and_a_line_per_epoch(tmp_path: Path) -> None:
    """Results go to standard output, progress to standard error."""
    done = CliRunner().invoke(train_command, [*SMALL, "--epochs", "2", "--flip", "--out", str(tmp_path / "bundle")])
    assert done.exit_code == 0
    assert epochs_in(done.stderr) == [1, 2]
    assert "phantom-classic@1.0" in done.stdout
    assert "Not for diagnosis." in done.stdout
    assert "epoch" not in done.stdout.replace("2 epochs in", "")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--normal-label", "healthy"],
            "--normal-label healthy is not a label of the data; the labels are clear, nodule",
        ),
        (["--name", "No Name"], "must be lower-case"),
        (["--learning-rate", "-1"], "must be a positive number"),
        (["--resume", "--overwrite"], "give only one of them"),
        (["--resume"], "no unfinished training"),
        (["--network", "lenet"], "no network lenet"),
    ],
)
def test_wrong_options_are_refused_before_the_training(tmp_path: Path, options: list[str], message: str) -> None:
    """The error is one sentence, and no folder is created."""
    arguments: list[Any] = [*SMALL, "--out", str(tmp_path / "bundle"), *options]
    result = CliRunner().invoke(train_command, arguments)
    assert isinstance(result.exception, UsageFault)
    assert message in str(result.exception)
    assert not (tmp_path / "bundle").exists()


def test_a_bundle_is_replaced_only_with_overwrite(tmp_path: Path) -> None:
    """Otherwise an active bundle would change without a new name or version."""
    (tmp_path / "bundle.json").write_text("{}")
    result = CliRunner().invoke(train_command, [*SMALL, "--out", str(tmp_path)])
    assert isinstance(result.exception, UsageFault)
    assert "--overwrite" in str(result.exception)


def trained_here(folder: Path, *options: str) -> None:
    arguments = [*SMALL, "--epochs", "1", "--out", str(folder), *options]
    CliRunner().invoke(train_command, arguments, catch_exceptions=False, standalone_mode=False)


def test_a_folder_that_cannot_be_written_is_found_before_the_training(tmp_path: Path) -> None:
    """The check does not wait for the first epoch."""
    (tmp_path / "file").touch()
    with pytest.raises(UsageFault, match=r"cannot be written \(NotADirectoryError\): name another --out"):
        trained_here(tmp_path / "file" / "out")


@pytest.mark.slow
def test_a_bundle_that_cannot_be_replaced_whole_is_no_bundle(tmp_path: Path) -> None:
    """The old card is deleted first, because it does not describe the new weights."""
    trained_here(tmp_path)
    (tmp_path / "training.json").unlink()
    (tmp_path / "training.json" / "in the way").mkdir(parents=True)
    with pytest.raises(OSError, match=r"training\.json"):
        trained_here(tmp_path, "--overwrite")
    assert not (tmp_path / "bundle.json").exists()
