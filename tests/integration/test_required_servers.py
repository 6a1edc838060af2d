"""In continuous integration a missing server is a failure."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
CONFIGURATION = str(TESTS.parent / "pyproject.toml")


@pytest.mark.parametrize(
    ("required", "outcome"),
    [
        pytest.param({}, "8 skipped", marks=pytest.mark.slow),
        ({"NIGHTREAD_REQUIRE_SERVERS": "1"}, "7 failed, 1 skipped"),
    ],
)
def test_where_servers_are_required_no_test_is_skipped_for_want_of_one(
    tmp_path: Path, required: dict[str, str], outcome: str
) -> None:
    """PostgreSQL, Redis, Orthanc, DCMTK, OpenSSL, Prometheus, the programs of Compose: no test has a marker."""
    (tmp_path / "test_servers.py").write_text(
        "import pytest\nimport skip_reasons\n"
        "@pytest.mark.parametrize('reason', [*sorted(skip_reasons.SERVERS), skip_reasons.NO_SHARED_DATA])\n"
        "def test_needs(reason): pytest.skip(reason)\n"
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n0",
        "-p",
        "no:cacheprovider",
        "-p",
        "conftest",
        "-c",
        CONFIGURATION,
    ]
    inherited = {name: value for name, value in os.environ.items() if name != "NIGHTREAD_REQUIRE_SERVERS"}
    environment = inherited | required | {"PYTHONPATH": str(TESTS)}
    found = subprocess.run(
        [*command, f"--rootdir={tmp_path}", str(tmp_path)], env=environment, capture_output=True, text=True, check=False
    )
    assert found.stdout.splitlines()[-1].startswith(outcome), found.stdout
