"""One pool process: its GPU or its core."""

import os

from nightread.hardware import gpus
from nightread.settings import Settings


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
    import cv2  # noqa: PLC0415 - after the variables are set

    cv2.setNumThreads(1)
