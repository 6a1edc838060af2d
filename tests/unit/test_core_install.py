"""`nightread --help` works where only the packages of an installation without extras are there."""

import subprocess
import sys
from importlib.metadata import packages_distributions, requires

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HELP_WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(name, name=name)

missing = set(sys.argv[1:])
sys.meta_path.insert(0, Missing())
from cli.main import main
sys.argv[1:] = ["--help"]
main()
"""


def test_the_help_needs_no_extra() -> None:
    without_extras = _packages_of("nightread")
    missing = [
        name
        for name, owners in packages_distributions().items()
        if not without_extras & {canonicalize_name(owner) for owner in owners}
    ]
    assert {"tensorflow", "pydicom", "fastapi"} <= set(missing)
    shown = subprocess.run([sys.executable, "-c", HELP_WITHOUT, *missing], capture_output=True, text=True, check=False)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "nightread demo" in shown.stdout


def _packages_of(name: str) -> set[str]:
    """Return the name and the names of all packages that its installation brings along here."""
    found: set[str] = set()
    _add_packages(name, frozenset({""}), found)
    return found


def _add_packages(name: str, extras: frozenset[str], found: set[str]) -> None:
    found.add(canonicalize_name(name))
    for line in requires(name) or []:
        requirement = Requirement(line)
        wanted = requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras)
        if wanted and canonicalize_name(requirement.name) not in found:
            _add_packages(requirement.name, frozenset({"", *requirement.extras}), found)
