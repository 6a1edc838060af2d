"""Choose the runtime with which the pipeline is measured."""

from collections.abc import Sequence
from typing import Any

STAND_IN = "stand-in"


def runtime_for_pipeline(rows: Sequence[dict[str, Any]], runtimes: Sequence[str]) -> str:
    """Return the runtime that is fastest on the GPU in float32, or STAND_IN if no runtime uses a GPU."""
    on_gpu = [
        row
        for row in rows
        if row["group"] == "network" and row.get("device") == "GPU" and row["precision"] == "float32" and "batch" in row
    ]
    measured = [row for row in on_gpu if "copied_per_second" in row and row["runtime"] in runtimes]
    if not measured:
        return STAND_IN
    return str(max(measured, key=lambda row: row["copied_per_second"])["runtime"])
