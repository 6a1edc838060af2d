"""The mutation tool tries the mutants of one module from the command line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_three_mutants_of_a_module_are_tried(tmp_path: Path) -> None:
    """The tests of the module notice them; a second run has their verdicts and tries nothing."""
    command = [sys.executable, "-m", "tests.mutants", "models/routing.py", "--sample", "3", "--folder", str(tmp_path)]
    for minutes in ("5", "0"):
        found = subprocess.run(
            [*command, "--minutes", minutes], cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False
        )
        assert found.returncode == 0, f"{found.stdout}{found.stderr}"
        (row,) = [line for line in found.stdout.splitlines() if "models/routing.py" in line]
        assert [cell.strip() for cell in row.split("│")][3:8] == ["0", "3", "3", "0", "100"]
