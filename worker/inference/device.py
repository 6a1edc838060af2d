"""One pool process: its GPU or its core."""

import ctypes
import os

from nightread.hardware import gpus
from nightread.settings import Settings

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


def tune_process(settings: Settings, index: int) -> None:
    """Give this pool process its GPU, or its one core. Must run before TensorFlow is imported."""
    found = gpus(settings)
    environment = os.environ
    environment["TF_CPP_MIN_LOG_LEVEL"] = "2" if found else "3"  # without a GPU it complains at every start
    environment["CUDA_VISIBLE_DEVICES"] = found[index % len(found)] if found else "-1"
    if found:
        environment["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
    else:
        # As many processes as cores: more threads in each would only take turns.
        environment.update(OMP_NUM_THREADS="1", TF_NUM_INTRAOP_THREADS="1", TF_NUM_INTEROP_THREADS="1")
    _keep_freed_memory()
    import cv2  # noqa: PLC0415 - after the variables are set

    cv2.setNumThreads(1)


def _keep_freed_memory() -> None:
    """Let malloc reuse what the last image freed: a page that went back to the kernel costs a fault and zeroing."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc; elsewhere the default stays
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 32 * 1024**2)
        mallopt(_M_TRIM_THRESHOLD, 256 * 1024**2)
