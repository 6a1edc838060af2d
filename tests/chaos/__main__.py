"""Run the chaos command: `python -m tests.chaos`, from the root of the repository."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # as pytest does: tests import `dicom_files`, `chaos.system`

from chaos.command import main

if __name__ == "__main__":
    sys.exit(main())
