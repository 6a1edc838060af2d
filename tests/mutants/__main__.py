"""Run the mutation tests: `python -m tests.mutants`, from the root of the repository."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # as pytest does: tests import `mutants.sites`

from mutants.command import main

if __name__ == "__main__":
    sys.exit(main())
