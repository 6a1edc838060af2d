"""Check Python and the installed packages, without loading TensorFlow."""

import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from cli.checks.check import Check

_OLDEST_PYTHON = (3, 11)
_BASE = ("celery", "kombu", "redis", "sqlalchemy", "flower", "numpy")
_NETWORK = (
    *("onnxruntime", "onnxruntime-gpu", "keras"),
    *("tensorflow", "tensorflow-cpu", "tensorflow-gpu", "tf-nightly", "jax", "torch"),
)
_WORKER = ("pydicom", "opencv-python-headless")
_INSTALL_WORKER = "`pip install 'nightread[worker]'`, unless this host only watches folders."


def check_packages(*, works_here: bool, uses_postgres: bool) -> Iterator[Check]:
    """Check versions. A missing worker package is a failure if `works_here` (a model is configured), else a warning."""
    yield _python()
    yield _installed(
        "packages", _BASE, missing="fail", remedy="Reinstall nightread: `pip install --force-reinstall nightread`."
    )
    yield _network(works_here=works_here)
    yield _installed("worker", _WORKER, missing="fail" if works_here else "warn", remedy=_INSTALL_WORKER)
    if uses_postgres:
        yield _installed("driver", ("psycopg",), missing="fail", remedy="`pip install 'nightread[postgres]'`.")


def _python() -> Check:
    found = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info < _OLDEST_PYTHON:
        return Check.fail("Python", found, "nightread needs Python 3.11 or newer.")
    return Check.ok("Python", f"{found} on {sys.platform}")


def _installed(name: str, packages: tuple[str, ...], *, missing: str, remedy: str) -> Check:
    versions = {package: _version(package) for package in packages}
    absent = [package for package, found in versions.items() if found is None]
    if not absent:
        return Check.ok(name, ", ".join(f"{package} {found}" for package, found in versions.items()))
    found = f"not installed: {', '.join(absent)}"
    return Check.fail(name, found, remedy) if missing == "fail" else Check.warn(name, found, remedy)


def _network(*, works_here: bool) -> Check:
    found = [f"{package} {release}" for package in _NETWORK if (release := _version(package))]
    if found:
        return Check.ok("networks", ", ".join(found))
    result = Check.fail if works_here else Check.warn
    return result("networks", "neither ONNX Runtime nor Keras", _INSTALL_WORKER)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
