"""Kills a process at a named step: for processes under test that find this folder on PYTHONPATH.

NIGHTREAD_FAULTS_DIR names a folder. A file `MODULE:FUNCTION:before` or `:after` in it arms that step
once: the first process that gets there removes the file and is gone as if by `kill -9`. Steps are named by where the
function is looked up, which for a name that was imported is the importing module.
"""

import functools
import os
import signal
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

STEPS = {
    "producer.folders.intake": ("register",),
    "db.ledger": ("form_batches", "claim", "record", "return_expired", "end_delivery"),
    "producer.dispatcher.transport": ("Transport.publish",),
    "worker.reading": ("fetch", "open_dicom_image", "expand"),
    "worker.archives.expand": ("_write", "sync_folder"),
    "worker.inference.predictor": ("Predictor.scores",),
}
_FOLDER = os.environ.get("NIGHTREAD_FAULTS_DIR")


class _Steps(MetaPathFinder):
    """Finds the modules that hold steps as they are always found, and puts the steps in once they are imported."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        """None for all modules but those of STEPS."""
        spec = PathFinder.find_spec(name, path, target) if name in STEPS else None
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_put_in(module: ModuleType) -> None:
            execute(module)
            for function in STEPS[name]:
                _put_in(module, function)

        spec.loader.exec_module = execute_and_put_in  # type: ignore[method-assign]
        return spec


def _put_in(module: ModuleType, function: str) -> None:
    *owners, name = function.split(".")
    owner = functools.reduce(getattr, owners, module)
    original = getattr(owner, name)
    before, after = (f"{_FOLDER}/{module.__name__}:{function}:{when}" for when in ("before", "after"))

    @functools.wraps(original)
    def step(*arguments: Any, **named: Any) -> Any:
        _die_if_armed(before)
        result = original(*arguments, **named)
        _die_if_armed(after)
        return result

    setattr(owner, name, step)


def _die_if_armed(token: str) -> None:
    try:
        os.unlink(token)  # noqa: PTH108 - whoever removes it is the one
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


if _FOLDER:
    sys.meta_path.insert(0, _Steps())
