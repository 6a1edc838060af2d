"""`python -I -m models.importing.sandbox FOLDER`: the process that opens a foreign file, and nothing else.

models.importing.job names what FOLDER holds. Nothing is imported before the walls stand: threads could not be walled
in.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from models.importing.confinement import ResourceLimits, confine
from models.importing.job import JOB_FILE, RESULT_FILE


def main() -> None:
    """Do one job. What Keras says of a foreign file is not passed on: it may quote the file."""
    folder = Path(sys.argv[1])
    walls = confine(folder, ResourceLimits())
    result: dict[str, Any] = {"walls": asdict(walls)}
    job = json.loads((folder / JOB_FILE).read_text("utf-8"))

    from models.importing.conversion import convert  # noqa: PLC0415 - threads, see above
    from models.importing.errors import RefusedModel  # noqa: PLC0415

    try:
        result |= convert(folder, folder / job["file"], tuple(job["input_shape"]))
    except RefusedModel as refused:
        result["refused"] = str(refused)
    (folder / RESULT_FILE).write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
