"""Which pool fits the hardware: one process per GPU, else one per CPU core."""

import os
from pathlib import Path

from nightread.settings import Settings


def gpus(settings: Settings) -> list[str]:
    """The GPUs this host offers, as CUDA_VISIBLE_DEVICES names them; found without loading TensorFlow."""
    if settings.device == "cpu":
        return []
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is not None:
        return [name for name in allowed.split(",") if name not in ("", "-1")]
    return sorted(device.name.removeprefix("nvidia") for device in Path("/dev").glob("nvidia[0-9]*"))


def slots(settings: Settings) -> int:
    """How many processes the pool gets."""
    return settings.workers or len(gpus(settings)) or len(os.sched_getaffinity(0))


def device_name(settings: Settings) -> str:
    """For `status`."""
    count = len(gpus(settings))
    return f"{count} GPU" if count else f"{len(os.sched_getaffinity(0))} CPU"


def quiet_tensorflow() -> None:
    """Without this it fills a page at every start, and looks for a GPU where there is none. Before its import only."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if not any(Path("/dev").glob("nvidia[0-9]*")):
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
