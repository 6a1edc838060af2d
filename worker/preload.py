"""Import in the parent process what each worker process needs, so that a process is ready as soon as it is forked.

Only modules that start no thread and open no connection at import may stand here: a fork copies neither. TensorFlow,
Keras and the sessions of ONNX Runtime do not survive a fork; each worker process makes its own.
"""

from importlib import import_module
from importlib.util import find_spec

from nightread.hardware import gpus
from nightread.settings import Settings
from worker.inference.device import use_one_thread

_MODULES = ("worker.analyse", "worker.context", "models.runtimes.onnx_network")
_RUNTIME = "onnxruntime"


def preload(settings: Settings) -> None:
    """Import the modules, which takes 0.5 s (processor time). Call this before the first fork.

    With GPUs it does nothing: the libraries of each process must see only the GPU of that process.
    """
    if gpus(settings):
        return
    use_one_thread()
    for name in _MODULES:
        import_module(name)
    if find_spec(_RUNTIME) is not None:
        import_module(_RUNTIME)
