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

    from models.importing.conversion import convert  # noqa: PLC0415 - starts threads, see above
    from models.importing.errors import RefusedModel  # noqa: PLC0415

    try:
        result |= convert(folder, folder / job["file"], tuple(job["input_shape"]))
    except RefusedModel as refused:
        result["refused"] = str(refused)
    (folder / RESULT_FILE).write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
