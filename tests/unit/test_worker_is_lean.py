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
    served = subprocess.run(
        [sys.executable, "-c", SERVE, str(tmp_path)],
        cwd=ROOT,
        env=environment | {"NIGHTREAD_RUNTIME": runtime, "NIGHTREAD_DEVICE": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (served.returncode, served.stderr) == (0, "")
    assert loaded == set(served.stdout.split())
