"""Import the public names of a package when they are first used.

The names stand in the package's `__init__.pyi`, as imports that type checkers and readers know:

    from db.queries.tally import Tally, tally

At run time the module `db.queries.tally` is imported when code first uses one of these names of `db.queries`. Importing
all modules of `db.queries` and `db.ledger` takes 0.4 s of processor time, as long as a short command may take.
"""

import ast
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any


def export_lazily(package: str) -> None:
    """Let the package find its public names in the modules that its `__init__.pyi` imports them from.

    Call this in its `__init__.py`.
    """
    module = sys.modules[package]
    stub = Path(str(module.__file__)).with_suffix(".pyi")
    places = _places(stub.read_text("utf-8"))
    module.__dict__.update(__all__=list(places), _places=places)
    module.__class__ = LazyPackage


class LazyPackage(ModuleType):
    """A package that imports each of its public names when the name is first used."""

    _places: Mapping[str, str]
    """The module of each public name."""

    def __getattr__(self, name: str) -> Any:
        """Import the module of the name, and keep the value: Python calls this only for a missing attribute."""
        if name not in self._places:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        value = getattr(import_module(self._places[name]), name)
        self.__dict__[name] = value
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute, unless it is a submodule that would hide a public name.

        For example, `images` of `db.queries` is a function. When the module `db.queries.images` is imported, Python
        sets it as the attribute `images`, which would hide the function.
        """
        if isinstance(value, ModuleType) and name in self._places:
            return
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        """Return all names, including names that were not used yet."""
        return sorted({*self.__dict__, *self._places})


def _places(stub: str) -> dict[str, str]:
    """Return the module of each name that the stub imports."""
    imports = (node for node in ast.parse(stub).body if isinstance(node, ast.ImportFrom))
    return {alias.name: str(node.module) for node in imports for alias in node.names}
