"""Import in the parent process what each worker process needs, so that a process is ready as soon as it is forked.

Only modules that start no thread and open no connection at import may be listed here: a fork does not copy threads, and
parent and child would share a connection. TensorFlow, Keras and ONNX Runtime start threads, so each worker process
imports them itself.
"""

import gc
from importlib import import_module

from nightread.hardware import gpus
from nightread.settings import Settings
from worker.inference.device import use_one_thread

_MODULES = (
    "worker.analyse",
    "worker.context",
    "models.runtimes.onnx_network",
    *(f"db.ledger.{name}" for name in ("bundles", "claims", "issuers", "outcomes")),
    "db.queries.opt_outs",
)


def preload(settings: Settings) -> None:
    """Import the modules, which takes 0.5 s (processor time). Call this before the first fork.

    With GPUs it imports nothing: the libraries of each process must see only the GPU of that process.
    """
    if not gpus(settings):
        use_one_thread()
        for name in _MODULES:
            import_module(name)
    gc.freeze()  # the garbage collector no longer visits the imported modules
    gc.enable()
