"""Open a foreign file in a confined process: `python -I -m models.importing.sandbox FOLDER`.

models.importing.job names the files of FOLDER. The process is confined before anything else is imported, because
threads that run already are not confined.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from models.importing.confinement import ResourceLimits, confine
from models.importing.job import JOB_FILE, RESULT_FILE


def main() -> None:
    """Do one job. Messages of Keras are not passed on, because they may quote the file."""
    folder = Path(sys.argv[1])
    confinement = confine(folder, ResourceLimits())
    result: dict[str, Any] = {"confinement": asdict(confinement)}
    job = json.loads((folder / JOB_FILE).read_text("utf-8"))
    missing = confinement.missing()
    if missing and not job["accept_weaker"]:
        result["not_isolated"] = list(missing)
    else:
        result |= _convert(folder, job)
    (folder / RESULT_FILE).write_text(json.dumps(result), encoding="utf-8")


def _convert(folder: Path, job: dict[str, Any]) -> dict[str, Any]:
    from models.importing.errors import RefusedModel  # noqa: PLC0415 - after the process is confined

    try:
        return _steps(folder, job)
    except RefusedModel as refused:
        return {"refused": str(refused)}
    except MemoryError:
        return {"refused": _MEMORY}


def _steps(folder: Path, job: dict[str, Any]) -> dict[str, Any]:
    """Do the job. The modules are imported here, in the confined process, because they start threads."""
    file, size = folder / job["file"], tuple(job["input_shape"])
    if "graph" not in job:
        from models.importing.conversion import convert  # noqa: PLC0415

        return convert(folder, file, size, with_onnx=job["with_onnx"])
    from models.importing.graph_options import GraphOptions  # noqa: PLC0415
    from models.importing.graphs.convert import check_converted, convert_graph  # noqa: PLC0415

    if job["graph"] is None:
        return check_converted(file, size, job["labels"])
    return convert_graph(folder, file, size, job["labels"], GraphOptions(**job["graph"]))


_MEMORY = (
    "The file needs more memory than a network of its size may use. Ask the author of the model for a smaller network."
)


if __name__ == "__main__":
    main()
