"""Run the command of the metamorphic matrix: `python -m tests.metamorphic`, from the root of the repository."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # as pytest does: tests import `metamorphic.cells`

from metamorphic.command import main

if __name__ == "__main__":
    sys.exit(main())
