"""The command `nightread models train`: its output, its interruption, and another Keras backend."""

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
from models.networks.scoring import score
from models.runtimes.load import load_network
from models.training.out_folder import reserved
from nightread.errors import UsageFault

ROOT = Path(__file__).parents[2]
SMALL = ["--data", "phantom:40", "--network", "classic", "--size", "28", "--batch-size", "8"]


def command(folder: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "cli", "models", "train", *SMALL, "--out", str(folder), *options]


def run_to_end(folder: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(folder, *options),
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def interrupt(folder: Path, signal_number: int, *options: str) -> tuple[int, str]:
    """Send a signal after the first finished epoch; return the exit code and the rest of standard error."""
    with subprocess.Popen(
        command(folder, *options),
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        preexec_fn=_restore_ctrl_c,  # noqa: PLW1509 - one system call
    ) as process:
        assert process.stderr
        for line in process.stderr:
            if line.startswith("epoch "):
                process.send_signal(signal_number)
                break
        rest = process.stderr.read()
        return process.wait(60), rest


def _restore_ctrl_c() -> None:
    """Handle SIGINT again: a shell starts background processes with SIGINT ignored, and children inherit this."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def epochs_in(stderr: str) -> list[int]:
    return [int(number) for number in re.findall(r"^epoch (\d+)/", stderr, re.MULTILINE)]


@pytest.mark.slow
def test_a_killed_and_an_interrupted_training_can_be_resumed(tmp_path: Path) -> None:
    """No epoch is run twice, and after Ctrl-C the message names --resume."""
    folder = tmp_path / "bundle"
    plan = ["--epochs", "40", "--name", "sides", "--normal-label", "clear"]
    code, _ = interrupt(folder, signal.SIGKILL, *plan)
    assert code == -signal.SIGKILL
    code, message = interrupt(folder, signal.SIGINT, *plan, "--resume")
    assert code == 130
    assert "--resume" in message
    assert not (folder / "bundle.json").exists()
    kept = len(json.loads((folder / "checkpoint" / "state.json").read_text())["history"]["loss"])
    last = run_to_end(folder, *plan, "--resume", "--json")
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
def test_a_network_trained_on_jax_is_served_on_tensorflow(tmp_path: Path) -> None:
    """The figures of the bundle on TensorFlow equal those of its evaluation with KERAS_BACKEND=jax."""
    folder = tmp_path / "bundle"
    done = run_to_end(folder, "--epochs", "2", "--json", KERAS_BACKEND="jax", JAX_PLATFORMS="cpu")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["training"]["backend"] == "jax"
    bundle = load_bundle(folder)
    again = measure(bundle.postprocessing, score(load_network(bundle), open_dataset("phantom:40").test))
    assert again.accuracy == report["evaluation"]["accuracy"]
    assert again.loss == pytest.approx(report["evaluation"]["loss"], abs=1e-4)


@pytest.mark.slow
def test_the_output_is_a_table_and_a_line_per_epoch(tmp_path: Path) -> None:
    """Results go to standard output, progress goes to standard error."""
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
def test_wrong_usage_is_an_error_before_the_training(tmp_path: Path, options: list[str], message: str) -> None:
    """The message is one sentence, and no folder is created."""
    arguments: list[Any] = [*SMALL, "--out", str(tmp_path / "bundle"), *options]
    result = CliRunner().invoke(train_command, arguments)
    assert isinstance(result.exception, UsageFault)
    assert message in str(result.exception)
    assert not (tmp_path / "bundle").exists()


def test_a_domain_with_unknown_fields_is_wrong_usage(tmp_path: Path) -> None:
    """It is found before the data are read."""
    ended = CliRunner().invoke(train_command, [*SMALL, "--domain", "modality=CR", "--out", str(tmp_path / "out")])
    assert ended.exit_code == 2
    assert "modalities=CR,DX" in ended.stderr


def test_a_bundle_is_replaced_only_with_overwrite(tmp_path: Path) -> None:
    """Otherwise a bundle in use would change under the same name and version."""
    (tmp_path / "bundle.json").write_text("{}")
    result = CliRunner().invoke(train_command, [*SMALL, "--out", str(tmp_path)])
    assert isinstance(result.exception, UsageFault)
    assert "--overwrite" in str(result.exception)


def test_a_second_training_into_the_folder_is_refused(tmp_path: Path) -> None:
    """Also with --overwrite and with --resume: both would mix their epochs."""
    with reserved(tmp_path / "out"):
        for option in ((), ("--overwrite",), ("--resume",)):
            with pytest.raises(UsageFault, match=r"another training writes into .*: wait for it or stop it"):
                train_in_process(tmp_path / "out", *option)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_tracker_without_an_address_is_refused_before_the_data_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise hours of training would not be tracked."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(UsageFault, match="--tracker mlflow needs"):
        train_in_process(tmp_path / "out", "--tracker", "mlflow")
    assert not (tmp_path / "out").exists()


def train_in_process(folder: Path, *options: str) -> None:
    arguments = [*SMALL, "--epochs", "1", "--out", str(folder), *options]
    CliRunner().invoke(train_command, arguments, catch_exceptions=False, standalone_mode=False)


def test_a_folder_that_cannot_be_written_is_found_before_the_training(tmp_path: Path) -> None:
    """The error comes before the first epoch."""
    (tmp_path / "file").touch()
    with pytest.raises(UsageFault, match=r"cannot be written \(NotADirectoryError\): choose another folder with --out"):
        train_in_process(tmp_path / "file" / "out")


@pytest.mark.slow
def test_an_incompletely_replaced_bundle_has_no_card(tmp_path: Path) -> None:
    """The old bundle.json is deleted first, because it does not describe the new weights."""
    train_in_process(tmp_path)
    (tmp_path / "training.json").unlink()
    (tmp_path / "training.json" / "in the way").mkdir(parents=True)
    with pytest.raises(OSError, match=r"training\.json"):
        train_in_process(tmp_path, "--overwrite")
    assert not (tmp_path / "bundle.json").exists()
