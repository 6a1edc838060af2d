"""Sample the utilisation of the GPU during a measurement."""

import shutil
import subprocess
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

_INTERVAL_SECONDS = 0.1
_INTERVAL_MILLISECONDS = "100"


class Utilisation:
    """Samples the utilisation in a thread while its context is open.

    NVML reports the share of the last sample period in which any kernel ran. So 100 % does not mean that all parts of
    the GPU were busy.
    """

    def __init__(self, *, has_gpu: bool) -> None:
        self._has_gpu = has_gpu
        self._samples: list[float] = []
        self._ended = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._thread: threading.Thread | None = None

    @property
    def percent(self) -> float | None:
        """Return the mean of all samples, or None without samples (NVML and nvidia-smi missing, or too little time)."""
        return sum(self._samples) / len(self._samples) if self._samples else None

    def __enter__(self) -> Self:
        if self._has_gpu:
            read = _nvml()
            target = self._follow_program if read is None else lambda: self._poll(read)
            self._thread = threading.Thread(target=target, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._process is not None:
            self._process.kill()
        if self._thread is not None:
            self._thread.join(2)

    def _poll(self, read: Callable[[], float]) -> None:
        while not self._ended.wait(_INTERVAL_SECONDS):
            self._samples.append(read())

    def _follow_program(self) -> None:
        program = shutil.which("nvidia-smi")
        if program is None:
            return
        query = ["--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "--id=0"]
        self._process = subprocess.Popen(
            [program, *query, f"--loop-ms={_INTERVAL_MILLISECONDS}"], stdout=subprocess.PIPE, text=True
        )
        for line in self._process.stdout or ():
            if self._ended.is_set():
                return
            if line.strip().isdecimal():
                self._samples.append(float(line))


def _nvml() -> Callable[[], float] | None:
    """Return a function that reads the utilisation through NVML, or None if NVML is not installed or does not work."""
    try:
        import pynvml

        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        pynvml.nvmlDeviceGetUtilizationRates(handle)
    except Exception:  # noqa: BLE001 - after any failure, nvidia-smi is used instead
        return None
    return lambda: float(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)
