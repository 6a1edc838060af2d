"""Run the command: `python -m tests.fuzz.entrances`, from the root of the repository."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # as pytest does: tests import `dicom_files`, `fuzz.entrances`

from fuzz.entrances.command import main

if __name__ == "__main__":
    sys.exit(main())
