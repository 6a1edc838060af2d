"""Print requirements with exact versions and hashes from a report of pip: `pip install --dry-run --report FILE ...`.

The URLs in the report are left out, because they name the package index or mirror of the machine that made it.
"""

import json
import platform
import sys
from pathlib import Path
from typing import Any


def requirements(report: dict[str, Any]) -> str:
    """Return one line per package, sorted by name. Raises ValueError for a package without a SHA-256."""
    lines = [line for entry in report["install"] if (line := _line(entry))]
    found = report.get("environment", {})
    python, system = found.get("python_version", ""), found.get("sys_platform", "")
    machine = found.get("platform_machine", platform.machine())
    head = f"# Python {python} on {system} {machine}. pip install --require-hashes --requirement FILE"
    return "\n".join([head, *sorted(lines, key=str.lower)]) + "\n"


def _line(entry: dict[str, Any]) -> str | None:
    name, version = entry["metadata"]["name"], entry["metadata"]["version"]
    source = entry["download_info"]
    if "dir_info" in source:  # nightread itself
        return None
    digest = source.get("archive_info", {}).get("hashes", {}).get("sha256")
    if digest is None:
        raise ValueError(f"pip reports no SHA-256 of {name} {version}: use an index that publishes hashes")
    return f"{name}=={version} --hash=sha256:{digest}"


if __name__ == "__main__":
    sys.stdout.write(requirements(json.loads(Path(sys.argv[1]).read_text("utf-8"))))
