"""Choose the runtime for a bundle and load its network with it."""

from importlib.util import find_spec

from models.bundle import Bundle
from models.runtimes.network import Network
from nightread.errors import StopWork
from nightread.runtime_names import AUTO, KERAS, ONNX

_BACKENDS = ("tensorflow", "jax", "torch")
_EXTRAS = {KERAS: "tensorflow", ONNX: "worker"}


def load_network(bundle: Bundle, runtime: str = AUTO, *, on_gpu: bool = False, threads: int = 1) -> Network:
    """Load and check the network of a bundle with `runtime`: `auto`, `keras` or `onnx`.

    `on_gpu` says whether this process has a GPU; `threads` is the number of threads of ONNX Runtime, 0 for all cores.
    Raises StopWork if the bundle has no file for the runtime, if the runtime is not installed, or if the network cannot
    be used.
    """
    if choose_runtime(bundle, runtime, on_gpu=on_gpu) == ONNX:
        from models.runtimes.onnx_network import load_onnx_network  # noqa: PLC0415 - one runtime is enough

        return load_onnx_network(bundle, on_gpu=on_gpu, threads=threads)
    from models.runtimes.keras_network import load_keras_network  # noqa: PLC0415

    return load_keras_network(bundle)


def choose_runtime(bundle: Bundle, wanted: str = AUTO, *, on_gpu: bool = False) -> str:
    """Return `keras` or `onnx`. Raises StopWork if the bundle cannot be run.

    `auto` prefers ONNX Runtime on CPUs, where it is faster for every network measured, and Keras on GPUs
    (docs/decisions/0028-two-runtimes.md).
    """
    if wanted != AUTO:
        return _forced(bundle, wanted)
    preferred = (KERAS, ONNX) if on_gpu else (ONNX, KERAS)
    offered = [runtime for runtime in preferred if runtime in bundle.runtimes]
    for runtime in offered:
        if is_installed(runtime):
            return runtime
    raise _not_installed(bundle, offered[0])


def is_installed(runtime: str) -> bool:
    """Return whether the library of the runtime can be imported here, without importing it.

    Keras needs a backend: TensorFlow, JAX or PyTorch.
    """
    if runtime == ONNX:
        return find_spec("onnxruntime") is not None
    return find_spec("keras") is not None and any(find_spec(name) for name in _BACKENDS)


def _forced(bundle: Bundle, wanted: str) -> str:
    if wanted not in bundle.runtimes:
        remedy = (
            "Add the file with `nightread models export`, or set NIGHTREAD_RUNTIME to auto or keras."
            if wanted == ONNX
            else "Set NIGHTREAD_RUNTIME to auto or onnx."
        )
        raise StopWork(
            f"model {bundle.reference}: NIGHTREAD_RUNTIME is {wanted}, but the bundle has no file for it. {remedy}"
        )
    if not is_installed(wanted):
        raise _not_installed(bundle, wanted)
    return wanted


def _not_installed(bundle: Bundle, runtime: str) -> StopWork:
    needed = "ONNX Runtime" if runtime == ONNX else "Keras with TensorFlow"
    return StopWork(
        f"model {bundle.reference}: it needs {needed}, which is not installed. "
        f"Run `pip install 'nightread[{_EXTRAS[runtime]}]'`."
    )
