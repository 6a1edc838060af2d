"""Collect the test suite twice under different conditions, and compare the tests and their parameters.

`python -m tests.collect_twice`, from the root of the repository. pytest-xdist refuses to run tests whose ids differ
between its processes. The two collections differ in the second in which they start, in the hash seed, in the time
zone and in the folder for temporary files.
"""

import difflib
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

_SHOWN = 20
_SECONDS_BETWEEN = 1.1
_ZONES = ("UTC", "Pacific/Kiritimati")
_ADDRESS = re.compile(r"0x[0-9a-f]{6,}")


class _Listing:
    """A pytest plugin that writes each test with its parameters, in the order of collection."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Write one line for each test."""
        self._path.write_text("\n".join(_line(item) for item in session.items), "utf-8")


def main(arguments: list[str]) -> int:
    """Compare two collections. Exit code 1: they differ, or one of them failed."""
    if arguments:
        return int(pytest.main(["--collect-only", "-qq"], plugins=[_Listing(Path(arguments[0]))]))
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / str(number) / "tests.txt" for number in range(len(_ZONES))]
        processes = [_started(path, number) for number, path in enumerate(files)]
        outputs = [process.communicate()[0] for process in processes]
        for process, output in zip(processes, outputs, strict=True):
            if process.returncode:
                print(output)
                return 1
        return _compare(*(path.read_text("utf-8").splitlines() for path in files))


def _started(path: Path, number: int) -> subprocess.Popen[str]:
    """Start one collection. Each one has an environment of its own."""
    path.parent.mkdir()
    if number:
        time.sleep(_SECONDS_BETWEEN)
    environment = {"PYTHONHASHSEED": str(number + 1), "TZ": _ZONES[number], "TMPDIR": str(path.parent)}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.collect_twice", str(path)],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _line(item: pytest.Item) -> str:
    """Return the id of a test with its parameters, without object addresses, which differ between processes."""
    parameters: dict[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
    return _ADDRESS.sub("0x", f"{item.nodeid} {_stable(parameters)}").replace("\n", " ")


def _stable(value: Any) -> str:
    """Return a value as text. Sets and frozen sets are sorted."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_stable(key)}: {_stable(each)}" for key, each in value.items()) + "}"
    if isinstance(value, (set, frozenset)):
        return "{" + ", ".join(sorted(map(_stable, value))) + "}"
    if isinstance(value, (list, tuple)):
        return "(" + ", ".join(map(_stable, value)) + ")"
    return repr(value)


def _compare(first: list[str], second: list[str]) -> int:
    """Print the differences."""
    changes = [
        line for line in difflib.unified_diff(first, second, lineterm="", n=0) if line[:2] not in ("--", "++", "@@")
    ]
    if not changes:
        print(f"{len(first)} tests were collected twice in the same order with the same parameters.")
        return 0
    print(f"Two collections of the tests differ in {len(changes)} lines. Fix the parameters or the ids of these tests:")
    print("\n".join(change[:200] for change in changes[:_SHOWN]))
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
