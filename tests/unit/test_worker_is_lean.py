"""A worker process that serves ONNX loads neither TensorFlow nor Keras nor the onnx package."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVE = """
import sys
from pathlib import Path

import worker.analyse, worker.context
from imaging.prepare import prepare
from imaging.read import read
from models.catalogue import find_bundle
from models.phantoms.dicom import phantom_file
from nightread.settings import load_settings
from worker.inference.device import tune_process
from worker.inference.predictor import Predictor

settings = load_settings(None, state_dir=Path(sys.argv[1]))
tune_process(settings, 0)
predictor = Predictor.load(find_bundle("phantom"), settings.runtime)
frame = next(read(phantom_file(seed=1, index=0)[0]).frames())
scores = predictor.scores(prepare(frame, predictor.bundle.spec)[None])
libraries = {"tensorflow", "keras", "onnx", "onnxruntime", "tf2onnx", "h5py"}
print(*libraries & {name.partition(".")[0] for name in sys.modules})
assert scores.shape == (1, 2)
"""


@pytest.mark.parametrize(
    ("runtime", "loaded"),
    [("auto", {"onnxruntime"}), pytest.param("keras", {"h5py", "keras", "tensorflow"}, marks=pytest.mark.slow)],
)
def test_a_worker_process_imports_only_its_runtime(tmp_path: Path, runtime: str, loaded: set[str]) -> None:
    """TensorFlow alone takes five seconds and 0.7 GB. With Keras the same code imports it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NIGHTREAD_")}
    served = _served(tmp_path, environment | {"NIGHTREAD_RUNTIME": runtime})
    assert (served.returncode, served.stderr) == (0, "")
    assert loaded == set(served.stdout.split())


def test_onnx_runtime_leaves_no_telemetry_in_the_home_folder(tmp_path: Path) -> None:
    """Without ORT_DISABLE_TELEMETRY it writes an identifier and a queue of events there, and sends them.

    It does not where it finds itself in a CI job, so this process has no variable of one.
    """
    home = tmp_path / "home"
    home.mkdir()
    served = _served(tmp_path, {"PATH": os.environ["PATH"], "HOME": str(home), "NIGHTREAD_RUNTIME": "onnx"})
    assert (served.returncode, served.stderr, served.stdout.strip()) == (0, "", "onnxruntime")
    assert list(home.rglob("*")) == []


def _served(folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SERVE, str(folder)],
        cwd=ROOT,
        env=environment | {"NIGHTREAD_DEVICE": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
