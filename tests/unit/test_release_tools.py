"""The tools of a release write hashes without addresses, and never call a check that did not happen a success."""

import json
import stat
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
HASHES = REPOSITORY / "tools" / "hashed_requirements.py"
AUDIT = REPOSITORY / "tools" / "audit_packages.sh"
DIGEST = "ab" * 32


def package(name: str, version: str, **archive: Any) -> dict[str, Any]:
    """Return one entry of a report of pip, from an index with a login."""
    url = f"https://user:token@mirror.example/simple/{name}-{version}-py3-none-any.whl"
    return {"metadata": {"name": name, "version": version}, "download_info": {"url": url, **archive}}


def hashed(tmp_path: Path, *entries: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """Run the tool on a report with these entries."""
    environment = {"python_version": "3.12", "sys_platform": "linux", "platform_machine": "x86_64"}
    report = tmp_path / "report.json"
    report.write_text(json.dumps({"version": "1", "install": list(entries), "environment": environment}))
    return subprocess.run([sys.executable, HASHES, report], check=False, capture_output=True, text=True)


def test_requirements_have_hashes_and_no_address(tmp_path: Path) -> None:
    """Versions and hashes are kept; the index, its login and nightread itself are not."""
    archive = {"archive_info": {"hashes": {"sha256": DIGEST}}}
    own = {"metadata": {"name": "nightread", "version": "1"}, "download_info": {"url": "file:///src", "dir_info": {}}}
    written = hashed(tmp_path, package("numpy", "2.4.6", **archive), own, package("Celery", "5.7.0", **archive)).stdout
    assert written.splitlines() == [
        "# Python 3.12 on linux x86_64. pip install --require-hashes --requirement FILE",
        f"Celery==5.7.0 --hash=sha256:{DIGEST}",
        f"numpy==2.4.6 --hash=sha256:{DIGEST}",
    ]


@pytest.mark.parametrize("archive", [{}, {"archive_info": {}}, {"archive_info": {"hashes": {"md5": "00"}}}])
def test_a_package_without_a_hash_is_an_error(tmp_path: Path, archive: dict[str, Any]) -> None:
    """A file that looks complete must not leave one out."""
    ended = hashed(tmp_path, package("numpy", "2.4.6", **archive))
    assert ended.returncode != 0
    assert ended.stdout == ""
    assert "no SHA-256 of numpy 2.4.6" in ended.stderr


@pytest.mark.parametrize(
    ("printed", "status", "expected"),
    [
        ("No known vulnerabilities found", 0, 0),
        ("Found 1 known vulnerability in 1 package", 1, 1),
        ("requests.exceptions.ConnectionError: Max retries exceeded", 1, 2),
        ("No known vulnerabilities found\nnumpy  Dependency not found on PyPI and could not be audited: numpy", 0, 2),
        ("Found 1 known vulnerability in 1 package\nx  could not be audited: x", 1, 1),
        ("anything else", 3, 2),
    ],
)
def test_a_check_that_did_not_happen_is_no_success(tmp_path: Path, printed: str, status: int, expected: int) -> None:
    """pip-audit ends with 0 although it skipped packages: that is `NOT CHECKED`."""
    fake = tmp_path / "pip-audit"
    fake.write_text(f"#!/bin/sh\ncat <<'TEXT'\n{printed}\nTEXT\nexit {status}\n")
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    ended = subprocess.run([AUDIT, fake, "requirements.txt"], check=False, capture_output=True, text=True)
    assert ended.returncode == expected
    assert ("NOT CHECKED" in ended.stderr) == (expected == 2)


def test_libraries_with_known_holes_are_excluded() -> None:
    """The lower bounds of packages that read input from others are the first releases without known holes."""
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    bounds = {line for name in ("worker", "stores") for line in extras[name] if line.startswith(("pydicom", "urllib3"))}
    assert bounds == {"pydicom>=3.0.2,<4", "urllib3>=2.6.3"}
