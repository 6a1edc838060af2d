"""Hide from a Python process what the image of its service does not install."""

from importlib.metadata import packages_distributions, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_SITECUSTOMIZE = """\
import sys
from importlib.machinery import PathFinder

_HIDDEN = frozenset({hidden!r})


class _Image(PathFinder):
    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        return None if fullname in _HIDDEN else super().find_spec(fullname, path, target)


sys.meta_path[:] = [_Image if finder is PathFinder else finder for finder in sys.meta_path]
"""


def hide_other_packages(folder: Path, extras: str) -> None:
    """Write a `sitecustomize` into `folder`: with it on PYTHONPATH, only packages of the extras can be imported."""
    folder.mkdir(exist_ok=True)
    hidden = sorted(hidden_modules(extras))
    (folder / "sitecustomize.py").write_text(_SITECUSTOMIZE.format(hidden=hidden))


def hidden_modules(extras: str) -> set[str]:
    """Return the top-level modules that are installed here, and not by `pip install nightread[EXTRAS]`."""
    installed = packages_of("nightread", frozenset({"", *extras.split(",")}))
    return {
        module
        for module, owners in packages_distributions().items()
        if not installed & {canonicalize_name(owner) for owner in owners}
    }


def packages_of(name: str, extras: frozenset[str] = frozenset({""})) -> set[str]:
    """Return the name and the names of all packages that its installation brings along here."""
    found: dict[str, frozenset[str]] = {}
    _add_packages(name, extras, found)
    return set(found)


def _add_packages(name: str, extras: frozenset[str], found: dict[str, frozenset[str]]) -> None:
    key = canonicalize_name(name)
    if key in found and extras <= found[key]:
        return
    found[key] = extras = extras | found.get(key, frozenset())
    for line in requires(name) or []:
        requirement = Requirement(line)
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras):
            _add_packages(requirement.name, frozenset({"", *requirement.extras}), found)
