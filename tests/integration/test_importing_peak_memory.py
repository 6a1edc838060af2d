"""The memory that a foreign file can take before it is refused."""

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import skip_reasons

GREEDY = {
    "class_name": "Sequential",
    "module": "keras",
    "config": {
        "name": "net",
        "layers": [
            {"class_name": "InputLayer", "module": "keras.layers", "config": {"batch_shape": [None, 8, 8, 1]}},
            {"class_name": "Flatten", "module": "keras.layers", "config": {"name": "flat"}},
            {"class_name": "Dense", "module": "keras.layers", "config": {"name": "dense", "units": 30_000_000}},
        ],
    },
}
MEASURING_PROGRAM = """
import resource, sys
from pathlib import Path
from models.importing.convert import converted
from models.importing.errors import RefusedModel
try:
    with converted(Path(sys.argv[1]), (8, 8, 1), accept_weaker=True):
        print("accepted")
except RefusedModel as refused:
    print(refused)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
"""


@pytest.mark.slow
def test_a_network_without_its_weights_is_refused_with_less_than_a_gibibyte(tmp_path: Path) -> None:
    """A layer of 30 million units in a file of 2 kB would take 7 GB."""
    if sys.platform != "linux":
        pytest.skip(skip_reasons.LINUX)
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        file.create_dataset("w", data=np.ones(8))
    with zipfile.ZipFile(tmp_path / "net.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(GREEDY))
        archive.writestr("model.weights.h5", weights.getvalue())
    command = [sys.executable, "-I", "-B", "-c", MEASURING_PROGRAM, str(tmp_path / "net.keras")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    message, mebibytes = done.stdout.splitlines()
    assert "needs more memory" in message or "ended by" in message
    assert int(mebibytes) < 1024
