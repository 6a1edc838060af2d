"""The names of db.queries and db.ledger are imported when they are first used."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from db import ledger, queries

PACKAGES = (ledger, queries)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_every_name_of_the_stub_can_be_imported(package: ModuleType) -> None:
    """Each module has the names that the stub imports from it, and `__all__` of the stub lists them."""
    stub = ast.parse(Path(str(package.__file__)).with_suffix(".pyi").read_text("utf-8"))
    imported = [alias.name for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    (listed,) = (node.value for node in stub.body if isinstance(node, ast.Assign))

    assert sorted(ast.literal_eval(listed)) == sorted(imported) == sorted(package.__all__)
    assert all(not isinstance(getattr(package, name), ModuleType) for name in imported)
    assert set(imported) <= set(dir(package))


def test_no_submodule_hides_a_name_whatever_is_imported_first() -> None:
    """`db.queries.images` is a module and `queries.images` a function."""
    for first in (
        "import db.queries.images",
        "from db.queries.images import COLUMNS",
        "from db.queries import COLUMNS",
    ):
        code = f"{first}; import db.queries.images; from db import queries; assert callable(queries.images)"
        subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_is_an_error() -> None:
    """The message is Python's own."""
    with pytest.raises(AttributeError, match=r"module 'db.queries' has no attribute 'nonsense'"):
        _ = queries.nonsense  # type: ignore[attr-defined]
    with pytest.raises(ImportError, match="cannot import name 'nonsense'"):
        exec("from db.ledger import nonsense", {})  # noqa: S102 - the statement itself is tested


def test_a_submodule_that_is_not_a_name_is_an_attribute() -> None:
    """As in any other package."""
    assert importlib.import_module("db.queries.filters") is queries.filters  # type: ignore[attr-defined]


def test_a_replaced_name_is_used_and_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests may replace a function of a package."""
    original = queries.tally
    with monkeypatch.context() as patch:
        patch.setattr(queries, "tally", len)
        assert queries.tally is len  # type: ignore[comparison-overlap]
    assert queries.tally is original
