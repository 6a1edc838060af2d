"""Measure one group of rows and print each as a line of JSON: `python -m benchmarks.gpu.group_process`."""

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.gpu.plan import Plan

PREFIX = "row "


def main(group: str, runtime: str, plan: Plan) -> None:
    """Print each row as soon as it is measured, so that no measured row is lost if this process is killed."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    if plan.rehearsal:
        os.environ.update(CUDA_VISIBLE_DEVICES="-1", JAX_PLATFORMS="cpu")
    with tempfile.TemporaryDirectory(prefix="nightread-gpu-") as folder:
        for row in _rows(group, runtime, plan, Path(folder)):
            print(PREFIX + json.dumps(row), flush=True)


def _rows(group: str, runtime: str, plan: Plan, folder: Path) -> Iterator[dict[str, Any]]:
    if group == "network":
        from benchmarks.gpu.network_rows import network_rows

        return network_rows(plan, runtime)
    from benchmarks.gpu.pipeline_rows import decode_rows, pipeline_rows

    if group == "decode":
        return decode_rows(plan, folder / "scans")
    if group == "pipeline":
        return pipeline_rows(plan, folder / "scans", runtime)
    from benchmarks.gpu.worker_rows import worker_rows

    return worker_rows(plan, folder, runtime)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Plan.from_json(sys.argv[3]))
