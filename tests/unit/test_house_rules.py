"""Rules of the house that no linter knows."""

import ast
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
import skip_reasons

ROOT = Path(__file__).parents[2]
PACKAGES = ("nightread", "imaging", "producer", "worker", "delivery", "models", "db", "api", "cli")


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    """All Python files that git tracks."""
    if not (ROOT / ".git").exists():
        pytest.skip(skip_reasons.GIT)
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).exists()]


def test_no_file_is_longer_than_300_lines(tracked: list[Path]) -> None:
    """A longer one is more than one noun."""
    lengths = {path: len(path.read_text().splitlines()) for path in tracked}
    assert {str(path): lines for path, lines in lengths.items() if lines > 300} == {}


def test_no_top_level_module_shadows_a_library() -> None:
    """The current directory comes first on the import path of `python -m`."""
    forbidden = {"celery", "redis", "keras", "alembic", "numpy", "flower"}
    present = {path.stem for path in ROOT.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert not forbidden & present


def test_no_public_class_name_is_defined_twice() -> None:
    """One name means one thing: a reader who searches for a class finds one."""
    places = defaultdict(list)
    for path in _product_modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_no_import_is_hidden_from_the_running_program_without_a_reason() -> None:
    """`if TYPE_CHECKING` hides circles: the database has none, others say which library is missing at run time."""
    hiding = [
        f"{path.relative_to(ROOT)}: {line}"
        for path in _product_modules()
        for line in path.read_text().splitlines()
        if line.startswith("if TYPE_CHECKING:") and (path.is_relative_to(ROOT / "db") or "  # " not in line)
    ]
    assert hiding == []


def test_only_one_module_imports_onnx_runtime(tracked: list[Path]) -> None:
    """It switches the telemetry off first, so no other import may come before."""
    importing = {
        str(path.relative_to(ROOT))
        for path in tracked
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Import) and any(name.name.startswith("onnxruntime") for name in node.names))
        or (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("onnxruntime"))
    }
    assert importing == {"models/runtimes/onnx_library.py"}


def test_what_ships_as_bundle_is_small() -> None:
    """A clone must stay quick: each bundle is below 2 MB."""
    for bundle in (ROOT / "models" / "bundles").iterdir():
        assert sum(path.stat().st_size for path in bundle.iterdir()) < 2_000_000


def _product_modules() -> Iterator[Path]:
    for package in PACKAGES:
        yield from (ROOT / package).rglob("*.py")
