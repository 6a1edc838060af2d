"""Hostile model files are refused before Keras is imported, with little memory."""

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import skip_reasons

PLAIN = {"class_name": "Sequential", "config": {"layers": []}}
INSPECTING_PROGRAM = """
import json, sys
from pathlib import Path
from models.importing.memory import INSPECTION_BYTES, limit_memory
limit_memory(INSPECTION_BYTES)
from models.importing.errors import RefusedModel
from models.importing.foreign import inspect
outcome = "accepted"
try:
    inspect(Path(sys.argv[1]))
except RefusedModel as refused:
    outcome = str(refused)
except MemoryError:
    outcome = "MemoryError"
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
mebibytes = int(peak.split()[1]) // 1024
print(json.dumps({"outcome": outcome, "mebibytes": mebibytes, "keras": "keras" in sys.modules}))
"""


def keras_file(path: Path, *, config: bytes = b"", weights: bytes = b"") -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("config.json", config or json.dumps(PLAIN))
        archive.writestr("model.weights.h5", weights or hdf5(lambda file: file.create_dataset("w", data=np.ones(8))))


def hdf5(fill: Callable[[h5py.File], object]) -> bytes:
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        fill(file)
    return content.getvalue()


def _many_lists(path: Path) -> None:
    """22 million empty lists in 64 MiB took 1.4 GiB; a little noise keeps the archive below the limit for bombs."""
    noise = np.random.default_rng(1).integers(0, 10, 2_000_000).astype("u1") + ord("0")
    keras_file(path, config=b'{"a":' + b"[" + b"[]," * 20_000_000 + b"0]," + b'"b":"' + noise.tobytes() + b'"}')


def _noise_and_zeros(path: Path) -> None:
    """300 MB of weights, of which 4 MB are noise: they were read into memory as a whole."""
    noise = np.random.default_rng(1).integers(0, 256, 4_000_000).astype("u1")
    values = np.concatenate([noise, np.zeros(296_000_000, "u1")])

    def fill(file: h5py.File) -> None:
        file.create_dataset("w", data=values)
        file["x"] = h5py.SoftLink("/w")

    keras_file(path, weights=hdf5(fill))


def _many_small_datasets(path: Path) -> None:
    """Each of them is small and declares 1 MiB that the file does not hold."""

    def fill(file: h5py.File) -> None:
        for number in range(300):
            file.create_dataset(f"w{number}", (2**20,), "u1")
        file.attrs["model_config"] = json.dumps(PLAIN)

    path.write_bytes(hdf5(fill))


def _long_description(path: Path) -> None:
    """70 MB of text in an .h5 file."""
    text = b" " * 70_000_000

    def fill(file: h5py.File) -> None:
        file.attrs["model_config"] = np.bytes_(b"{}")
        file.attrs.create("model_config", text.decode(), dtype=h5py.string_dtype())

    path.write_bytes(hdf5(fill))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_many_lists, "longer than that of any real network"),
        (_noise_and_zeros, "is a link"),
        (_many_small_datasets, "decompression bomb"),
        (_long_description, "longer than that of any real network"),
    ],
)
def test_a_file_made_to_fill_the_memory_is_refused(tmp_path: Path, make: Callable[[Path], None], message: str) -> None:
    """It takes less than 600 MiB, nothing of which is Keras."""
    if sys.platform != "linux":
        pytest.skip(skip_reasons.LINUX)
    make(tmp_path / "net")
    done = subprocess.run(
        [sys.executable, "-I", "-B", "-c", INSPECTING_PROGRAM, str(tmp_path / "net")],
        capture_output=True,
        text=True,
        check=True,
    )
    report = json.loads(done.stdout)
    assert message in report["outcome"]
    assert not report["keras"]
    assert report["mebibytes"] < 600
