"""Import ONNX Runtime without its telemetry."""

from typing import Any

from nightread.hardware import disable_onnx_telemetry


def onnx_runtime() -> Any:
    """Return the module onnxruntime, which hosts that analyse nothing need not have. Raises ImportError."""
    disable_onnx_telemetry()
    import onnxruntime  # noqa: PLC0415 - the telemetry is decided at the import

    return onnxruntime
