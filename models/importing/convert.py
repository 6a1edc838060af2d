"""Run the sandbox on a foreign file, and read the .keras file and the plain values that it returns."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from models.importing.architecture import printable
from models.importing.description import read_json
from models.importing.errors import RefusedModel
from models.importing.foreign import GRAPH, detect_format, inspect_converted
from models.importing.graph_facts import GraphFacts
from models.importing.graph_options import GraphOptions
from models.importing.job import CONVERTED_FILE, CONVERTED_ONNX_FILE, INPUTS_FILE, JOB_FILE, RESULT_FILE
from models.importing.onnx_copy import OnnxCopy
from models.importing.private_copy import Copied, copy_private
from models.postprocessing import SOFTMAX

TIMEOUT_SECONDS = 600.0
_RESULT_BYTES = 64 * 1024**2
_LONGEST_REFUSAL = 2000
_POLL_SECONDS = 0.02


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """The result of the sandbox for one network."""

    keras: str = ""
    backend: str = ""
    """The version of Keras and the name of its backend, which loaded a Keras file; both are empty for an ONNX file."""
    onnx_copy: OnnxCopy | None = None
    """The ONNX export of a Keras file, if it was asked for."""
    graph: GraphFacts | None = None
    """The facts about an ONNX file; None for a Keras file."""
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
    original: Copied
    """The file that was inspected and loaded."""

    @property
    def onnx_path(self) -> Path:
        """Return the path of the ONNX file that was exported from a Keras file."""
        return self.path.with_name(CONVERTED_ONNX_FILE)

    @classmethod
    def from_json(cls, values: dict[str, Any], path: Path, original: Copied) -> Self:
        """Read the result of the sandbox, which is not trusted. Raises KeyError, TypeError or ValueError."""
        return cls(
            keras=str(values.get("keras", ""))[:40],
            backend=str(values.get("backend", ""))[:40],
            onnx_copy=OnnxCopy.from_json(values["onnx"]) if values.get("onnx") is not None else None,
            graph=GraphFacts.from_json(values["graph"]) if values.get("graph") is not None else None,
            input_shape=_shape(values["input_shape"]),
            output_shape=_shape(values["output_shape"]),
            parameters=int(values["parameters"]),
            activation=None if values["activation"] is None else str(values["activation"])[:40],
            bad_weights=tuple(printable(str(name)[:80]) for name in values["bad_weights"]),
            probes=_matrix(values.get("probes", [])),
            scores=_matrix(values.get("scores", [])),
            confinement={str(name): bool(stands) for name, stands in values["confinement"].items()},
            path=path,
            original=original,
        )


@contextmanager
def converted(
    file: Path,
    input_shape: tuple[int, int, int],
    inputs: NDArray[np.float32] | None = None,
    *,
    labels: int = 0,
    options: GraphOptions | None = None,
    with_onnx: bool = False,
    accept_weaker: bool = False,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> Iterator[Conversion]:
    """Convert `file` in a sandbox and score `inputs`, (n, height, width, channels).

    An ONNX file needs the number of `labels`, and `options`: what its card says about the graph. With `with_onnx`, a
    Keras file is also exported as ONNX; Conversion.onnx_copy says why if that fails. Raises RefusedModel if the sandbox
    refuses the file, dies, takes too long or returns an invalid result. Without `accept_weaker`, also raises it if this
    machine lacks a required restriction (models.importing.confinement).
    """
    with TemporaryDirectory(prefix="nightread-import-", ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        original = copy_private(file, folder / "foreign")
        kind = detect_format(folder / "foreign", named=file)
        (folder / "foreign").rename(folder / f"foreign{kind}")
        job: dict[str, Any] = {
            "file": f"foreign{kind}",
            "input_shape": list(input_shape),
            "accept_weaker": accept_weaker,
            "with_onnx": with_onnx,
            **_of_graph(kind, labels, options),
        }
        if inputs is not None:
            np.save(folder / INPUTS_FILE, inputs)
        values = _do(folder, job, timeout_seconds)
        conversion = _conversion(folder, values, original, CONVERTED_ONNX_FILE if kind == GRAPH else CONVERTED_FILE)
        if kind == GRAPH:
            _check_again(conversion, job, timeout_seconds)
        else:
            inspect_converted(conversion.path)
            conversion = _with_checked_copy(conversion, job | {"labels": labels}, timeout_seconds)
        yield conversion


def _of_graph(kind: str, labels: int, options: GraphOptions | None) -> dict[str, Any]:
    """Return the fields of the job for an ONNX graph. Raises RefusedModel for missing packages and wrong options."""
    if kind != GRAPH:
        if options is not None and options.given:
            names = ", ".join(f"--{name.replace('_', '-')}" for name in options.given)
            raise RefusedModel(f"The file is a Keras file, but only .onnx files take {names}. Leave it out.")
        return {}
    lacking = [name for name in ("onnx", "onnxruntime") if find_spec(name) is None]
    if lacking:
        raise RefusedModel(
            f"Importing an .onnx file needs the package {' and '.join(lacking)}, which is not installed. "
            f"Run `pip install {' '.join(lacking)}`."
        )
    return {"labels": labels, "graph": asdict(options or GraphOptions(activation=SOFTMAX))}


def _with_checked_copy(conversion: Conversion, job: dict[str, Any], timeout_seconds: float) -> Conversion:
    """Check the exported ONNX file in another sandbox; if it is refused, return the conversion with the reason."""
    exported = conversion.onnx_copy
    if exported is None or exported.signature is None:
        return conversion
    if not _is_plain(conversion.onnx_path):
        return replace(conversion, onnx_copy=OnnxCopy.failed("the export wrote no file"))
    try:
        _check_again(replace(conversion, path=conversion.onnx_path), job, timeout_seconds)
    except RefusedModel as refused:
        return replace(conversion, onnx_copy=OnnxCopy.failed(str(refused)))
    return conversion


def _check_again(conversion: Conversion, job: dict[str, Any], timeout_seconds: float) -> None:
    """Inspect the converted graph in another sandbox, which has not read the foreign file. Raises RefusedModel."""
    if not _is_plain(conversion.path):  # labels or weights do not fit, which models.importing.checks explains
        return
    with TemporaryDirectory(prefix="nightread-import-", ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        copy_private(conversion.path, folder / CONVERTED_ONNX_FILE)
        values = _do(folder, job | {"file": CONVERTED_ONNX_FILE, "graph": None}, timeout_seconds)
    if values.get("checked") is not True:
        raise RefusedModel("The converted network could not be inspected again. Do not use this file.")


def _do(folder: Path, job: dict[str, Any], timeout_seconds: float) -> dict[str, Any]:
    """Run a sandbox for one job in `folder` and return its result. Raises RefusedModel."""
    (folder / JOB_FILE).write_text(json.dumps(job), encoding="utf-8")
    _run(folder, timeout_seconds)
    return _result(folder)


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
        _wait(process.pid, timeout_seconds)
    finally:
        # Kill the group in any case, before the process is reaped: until then no other group can have its number.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
    if code != 0:
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        raise RefusedModel(
            f"The process that loaded the network ended {how}: the file is damaged, or the network needs more memory "
            "or time than an import may use. Ask the author of the model to save it as .keras with Keras 3."
        )


def _wait(process: int, timeout_seconds: float) -> None:
    """Wait until the process ends, without reaping it. Raises RefusedModel if it takes too long."""
    end = time.monotonic() + timeout_seconds
    while os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() > end:
            raise RefusedModel(
                f"Loading and scoring the network took longer than {timeout_seconds:g} s, so it was stopped. "
                "Ask the author of the model for a smaller network."
            )
        time.sleep(_POLL_SECONDS)


def _not_isolated(missing: list[str]) -> str:
    names = ", ".join(printable(str(name)[:40]).replace("_", " ") for name in missing[:10])
    return (
        f"The process that loads the network cannot be isolated on this machine; missing: {names}. Import on Linux "
        "with user namespaces, Landlock and seccomp, outside of a container, and copy the bundle. If you trust the "
        "author of the file, give --accept-weaker-sandbox."
    )


def _environment(folder: Path) -> dict[str, str]:
    """Return new environment variables: without passwords, and for a network on the CPU without a GPU driver."""
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")  # noqa: TID251 - Keras reads nothing else
    return {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "USER": "nobody",
        "HDF5_PLUGIN_PRELOAD": "::",  # no filters from folders of plug-ins
        "OPENBLAS_NUM_THREADS": "1",  # each OpenBLAS thread reserves memory at the import
        "KERAS_BACKEND": backend,
        "CUDA_VISIBLE_DEVICES": "-1",
        "JAX_PLATFORMS": "cpu",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }


def _result(folder: Path) -> dict[str, Any]:
    path = folder / RESULT_FILE
    with _invalid_results_refused():
        if not _is_plain(path) or path.stat().st_size > _RESULT_BYTES:
            raise RefusedModel("The process that loaded the network returned an invalid result. Do not use this file.")
        values = dict(read_json(path.read_bytes()))
        if "not_isolated" in values:
            raise RefusedModel(_not_isolated(values["not_isolated"]))
        if "refused" in values:
            raise RefusedModel(printable(str(values["refused"])[:_LONGEST_REFUSAL]))
        return values


def _conversion(folder: Path, values: dict[str, Any], original: Copied, file: str) -> Conversion:
    with _invalid_results_refused():
        conversion = Conversion.from_json(values, folder / file, original)
        if (conversion.graph is None) != (file == CONVERTED_FILE):
            raise TypeError("an ONNX file must have facts of a graph, and a Keras file must have none")
        if not _is_plain(conversion.path) and (conversion.graph is None or conversion.scores.size):
            raise RefusedModel(f"The process that loaded the network wrote no {file}. Do not use this file.")
        return conversion


@contextmanager
def _invalid_results_refused() -> Iterator[None]:
    """Raise RefusedModel if reading a result raises another error, because the result is not trusted."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RefusedModel(
            f"The process that loaded the network returned an invalid result ({type(error).__name__}). "
            "Do not use this file."
        ) from error


def _is_plain(path: Path) -> bool:
    """Return whether this is a regular file.

    A link could lead to any file that this process may read, and reading a pipe might never end.
    """
    return path.is_file() and not path.is_symlink()


def _shape(values: list[int | None]) -> tuple[int | None, ...]:
    return tuple(None if size is None else int(size) for size in values)


def _matrix(values: list[list[float]]) -> NDArray[np.float64]:
    return np.array(values, np.float64)
