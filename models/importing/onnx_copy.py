"""Export an imported Keras network as ONNX in the sandbox, and read what the sandbox returns about the export."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from models.importing.architecture import printable
from models.importing.errors import RefusedModel
from models.importing.job import CONVERTED_ONNX_FILE
from models.onnx_signature import OnnxSignature

_TOLERANCE = 1e-4
_LONGEST_REASON = 500


@dataclass(frozen=True, kw_only=True)
class OnnxCopy:
    """The ONNX file that was exported from a Keras file, or why there is none."""

    signature: OnnxSignature | None
    """How to run the ONNX file; None if the export or the comparison of the scores failed."""
    record: dict[str, Any]
    """What import.json says about the export."""

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Read what the sandbox returns, which is not trusted. Raises KeyError, TypeError or ValueError."""
        if values["exported"] is not True:
            return cls.failed(str(values["reason"]))
        signature = OnnxSignature.from_json(dict(values["signature"]))
        record = {
            "exported": True,
            "opset": signature.opset,
            "versions": {name: printable(str(values["versions"][name])[:40]) for name in ("onnx", "onnxruntime")},
            "compared": {"frames": int(values["frames"]), "largest_difference": float(values["largest_difference"])},
        }
        return cls(signature=signature, record=record)

    @classmethod
    def failed(cls, reason: str) -> Self:
        """Return the record of an export without a file, with its reason."""
        return cls(signature=None, record={"exported": False, "reason": printable(reason[:_LONGEST_REASON])})


def export_copy(
    model: Any, folder: Path, shape: tuple[int, int, int], inputs: NDArray[np.float32], expected: NDArray[np.float64]
) -> dict[str, Any]:
    """Export the network into the folder if ONNX Runtime gives the `expected` scores; this runs inside the sandbox.

    Returns plain values for OnnxCopy.
    """
    file = folder / CONVERTED_ONNX_FILE
    try:
        import onnx  # noqa: PLC0415 - after the file is inspected

        from models.importing.graphs.session import GraphSession, version  # noqa: PLC0415
        from models.runtimes.onnx_export import ExportFailedError, export_onnx  # noqa: PLC0415
    except ImportError as error:
        return {"exported": False, "reason": f"{error.name} is not installed: pip install 'nightread[train]'"}
    try:
        signature = export_onnx(model, file, shape)
        scores = GraphSession(onnx.load(file, load_external_data=False)).scores(inputs)
    except (ExportFailedError, RefusedModel) as error:
        file.unlink(missing_ok=True)
        return {"exported": False, "reason": str(error)}
    difference = float(np.abs(scores - expected).max()) if scores.shape == expected.shape else float("inf")
    if not difference <= _TOLERANCE:  # also for NaN
        file.unlink()
        return {"exported": False, "reason": f"scores of Keras and ONNX Runtime differ by {difference:.2g}"}
    return {
        "exported": True,
        "signature": signature.to_json(),
        "versions": {"onnx": onnx.__version__, "onnxruntime": version()},
        "frames": len(inputs),
        "largest_difference": difference,
    }
