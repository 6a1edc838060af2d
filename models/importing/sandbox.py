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
    from models.importing.conversion import convert  # noqa: PLC0415 - starts threads, see above
    from models.importing.errors import RefusedModel  # noqa: PLC0415

    try:
        return convert(folder, folder / job["file"], tuple(job["input_shape"]))
    except RefusedModel as refused:
        return {"refused": str(refused)}
    except MemoryError:
        return {"refused": _MEMORY}


_MEMORY = "The file needs more memory than a network of its size may use. Ask its author for a smaller network."


if __name__ == "__main__":
    main()
