"""Images whose bytes end in a magic word kill, hang or starve whoever reads them; all others are read as ever."""

import collections
import importlib.util
import itertools
import os
import signal
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NoReturn

KILL, HANG, HANG_IN_C, HOG = b"poison:kill", b"poison:hang", b"poison:deaf", b"poison:hogs"
_LENGTH = len(KILL)
_READER = "imaging.read"
_HOG_BYTES = 1024**3
_CHUNK_BYTES = 16 * 1024**2


def await_reader() -> None:
    """Poison imaging.read.read in this process as soon as that module is imported, and not before."""
    sys.meta_path.insert(0, _Ambush())


class _Ambush(MetaPathFinder):
    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:  # noqa: ARG002 - importlib's
        if name != _READER:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.loader is not None
        execute = spec.loader.exec_module

        def execute_and_poison(module: ModuleType) -> None:
            execute(module)
            _poison(module)

        spec.loader.exec_module = execute_and_poison  # type: ignore[method-assign]
        return spec


def _poison(module: ModuleType) -> None:
    read = module.read

    def poisoned(data: bytes, **options: Any) -> Any:
        if deed := _DEEDS.get(data[-_LENGTH:]):
            deed()
        return read(data, **options)

    module.read = poisoned  # type: ignore[attr-defined]


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _hang() -> NoReturn:
    while True:
        pass


def _hang_in_c() -> None:
    """A signal is heard, and its Python handler never run."""
    collections.deque(itertools.repeat(0), maxlen=0)


def _hog() -> None:
    """Ask for more and more; where no limit stops it before a GiB, the system's out-of-memory killer comes."""
    import numpy as np  # noqa: PLC0415 - this module is imported by every Python that starts

    held = [np.empty(_CHUNK_BYTES, np.uint8) for _ in range(_HOG_BYTES // _CHUNK_BYTES)]
    held.clear()
    _kill()


_DEEDS = {KILL: _kill, HANG: _hang, HANG_IN_C: _hang_in_c, HOG: _hog}
