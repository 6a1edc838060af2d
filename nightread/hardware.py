"""Choose the number of worker processes: one per GPU, else one per CPU core."""

import os
from pathlib import Path

from nightread.settings import Settings


def gpus(settings: Settings) -> list[str]:
    """Return the GPUs of this host, named as in CUDA_VISIBLE_DEVICES, without loading TensorFlow."""
    if settings.device == "cpu":
        return []
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is not None:
        return [name for name in allowed.split(",") if name not in ("", "-1")]
    return sorted(device.name.removeprefix("nvidia") for device in Path("/dev").glob("nvidia[0-9]*"))


def slots(settings: Settings) -> int:
    """Return the number of worker processes: the setting `workers`, else the number of GPUs, else of CPU cores."""
    return settings.workers or len(gpus(settings)) or len(os.sched_getaffinity(0))


def device_name(settings: Settings) -> str:
    """Return text such as `2 GPU` or `16 CPU`, which `status` shows."""
    count = len(gpus(settings))
    return f"{count} GPU" if count else f"{len(os.sched_getaffinity(0))} CPU"


def configure_mlflow() -> None:
    """Tell MLflow not to report its use to its makers, to print nothing, and to wait at most 40 s for a server.

    By default MLflow would wait 20 minutes for a request, and print addresses into the JSON of a command. Call this
    before MLflow is imported.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")


def disable_onnx_telemetry() -> None:
    """Tell ONNX Runtime to send no reports to its makers. Call this before ONNX Runtime is imported.

    Since version 1.29 it stores an identifier of the host in the user's cache on Linux and macOS, and reports the host,
    the process and the networks. Only this variable prevents all of it (onnxruntime, pull request 27379); its function
    `disable_telemetry_events` comes too late.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def quiet_tensorflow() -> None:
    """Reduce TensorFlow's log lines at start, and disable its GPU search on a host without a GPU.

    Call this before TensorFlow is imported; later it has no effect.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if not any(Path("/dev").glob("nvidia[0-9]*")):
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
