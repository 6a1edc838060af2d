"""Run the sandbox on a foreign file, and read the .keras file and the plain values that it returns."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from models.importing.architecture import printable
from models.importing.errors import RefusedModel
from models.importing.foreign import detect_format, inspect_converted
from models.importing.job import CONVERTED_FILE, INPUTS_FILE, JOB_FILE, RESULT_FILE

TIMEOUT_SECONDS = 600.0
_RESULT_BYTES = 64 * 1024**2
_LONGEST_REFUSAL = 2000


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """The result of the sandbox for one network."""

    keras: str
    backend: str
    input_shape: tuple[int | None, ...]
    output_shape: tuple[int | None, ...]
    parameters: int
    activation: str | None
    """The activation of the last layer."""
    bad_weights: tuple[str, ...]
    """Names of weights that contain NaN or infinity."""
    probes: NDArray[np.float64]
    """(n, outputs): the outputs for noise and for zeros; empty if the network does not accept the input shape."""
    scores: NDArray[np.float64]
    """(inputs, outputs): the outputs for the given inputs."""
    confinement: dict[str, bool]
    """The restrictions that were active when the file was opened (models.importing.confinement)."""
    path: Path
    """The converted file; it is deleted at the end of the context."""

    @classmethod
    def from_json(cls, values: dict[str, Any], path: Path) -> Self:
        """Read the result of the sandbox, which is not trusted. Raises KeyError, TypeError or ValueError."""
        return cls(
            keras=str(values["keras"])[:40],
            backend=str(values["backend"])[:40],
            input_shape=_shape(values["input_shape"]),
            output_shape=_shape(values["output_shape"]),
            parameters=int(values["parameters"]),
            activation=None if values["activation"] is None else str(values["activation"])[:40],
            bad_weights=tuple(printable(str(name)[:80]) for name in values["bad_weights"]),
            probes=_matrix(values.get("probes", [])),
            scores=_matrix(values.get("scores", [])),
            confinement={str(name): bool(stands) for name, stands in values["confinement"].items()},
            path=path,
        )


@contextmanager
def converted(
    file: Path,
    input_shape: tuple[int, int, int],
    inputs: NDArray[np.float32] | None = None,
    *,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> Iterator[Conversion]:
    """Convert `file` in a sandbox and score `inputs`, (n, height, width, channels).

    Raises RefusedModel if the sandbox refuses the file, dies, takes too long or returns an invalid result.
    """
    kind = detect_format(file)
    with TemporaryDirectory(prefix="nightread-import-", ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        shutil.copyfile(file, folder / f"foreign{kind}")
        job = {"file": f"foreign{kind}", "input_shape": list(input_shape)}
        (folder / JOB_FILE).write_text(json.dumps(job), encoding="utf-8")
        if inputs is not None:
            np.save(folder / INPUTS_FILE, inputs)
        _run(folder, timeout_seconds)
        conversion = _result(folder)
        inspect_converted(conversion.path)
        yield conversion


def _run(folder: Path, timeout_seconds: float) -> None:
    process = subprocess.Popen(
        [sys.executable, "-I", "-B", "-m", "models.importing.sandbox", str(folder)],
        env=_environment(folder),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        code = process.wait(timeout_seconds)
    except subprocess.TimeoutExpired:
        raise RefusedModel(
            f"Loading and scoring the network took longer than {timeout_seconds:g} s, so it was stopped. "
            "Ask its author for a smaller network."
        ) from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if code != 0:
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        raise RefusedModel(
            f"The process that loaded the network ended {how}: the file is damaged, or the network needs more memory "
            "or time than an import may use. Ask its author to save it as .keras with Keras 3."
        )


def _environment(folder: Path) -> dict[str, str]:
    """Return a new environment without passwords. The network runs on the CPU, without access to a GPU driver."""
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")  # noqa: TID251 - Keras reads nothing else
    return {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "KERAS_BACKEND": backend,
        "CUDA_VISIBLE_DEVICES": "-1",
        "JAX_PLATFORMS": "cpu",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }


def _result(folder: Path) -> Conversion:
    path = folder / RESULT_FILE
    try:
        if not _is_plain(path) or path.stat().st_size > _RESULT_BYTES:
            raise RefusedModel("The process that loaded the network returned an invalid result. Do not use this file.")
        values = json.loads(path.read_text("utf-8"))
        if "refused" in values:
            raise RefusedModel(printable(str(values["refused"])[:_LONGEST_REFUSAL]))
        if not _is_plain(folder / CONVERTED_FILE):
            raise RefusedModel("The process that loaded the network wrote no .keras file. Do not use this file.")
        return Conversion.from_json(values, folder / CONVERTED_FILE)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RefusedModel(
            f"The process that loaded the network returned an invalid result ({type(error).__name__}). "
            "Do not use this file."
        ) from error


def _is_plain(path: Path) -> bool:
    """Return whether this is a regular file: a link would be read with the rights of this process, a pipe forever."""
    return path.is_file() and not path.is_symlink()


def _shape(values: list[int | None]) -> tuple[int | None, ...]:
    return tuple(None if size is None else int(size) for size in values)


def _matrix(values: list[list[float]]) -> NDArray[np.float64]:
    return np.array(values, np.float64)
