"""Assign a GPU or one CPU core to a worker process."""

import ctypes
import os

from nightread.hardware import gpus
from nightread.settings import Settings

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


def tune_process(settings: Settings, index: int) -> None:
    """Set the environment so that this process uses its GPU, or one core. Call it before a runtime is imported.

    ONNX Runtime gets its number of threads when a network is loaded (models.runtimes.onnx_network). `index` is the
    number of the process in Celery's pool; processes are distributed over the GPUs in turn.
    """
    found = gpus(settings)
    environment = os.environ
    # Level 3 hides errors too: without a GPU, TensorFlow logs one at every start.
    environment["TF_CPP_MIN_LOG_LEVEL"] = "2" if found else "3"
    environment["CUDA_VISIBLE_DEVICES"] = found[index % len(found)] if found else "-1"
    if found:
        environment["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
    else:
        use_one_thread()
    _keep_freed_memory()
    import cv2  # noqa: PLC0415 - after the variables are set

    cv2.setNumThreads(1)


def use_one_thread() -> None:
    """Make libraries that are imported later use one thread.

    There are as many processes as cores, so more threads per process would only compete for the cores.
    """
    os.environ.update(OMP_NUM_THREADS="1", TF_NUM_INTRAOP_THREADS="1", TF_NUM_INTEROP_THREADS="1")


def _keep_freed_memory() -> None:
    """Make malloc keep freed memory for the next image: a new page from the kernel costs a page fault and zeroing."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # only glibc has it; other systems keep their default
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 32 * 1024**2)
        mallopt(_M_TRIM_THRESHOLD, 256 * 1024**2)
