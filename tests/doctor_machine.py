"""Change what `nightread doctor` sees of a machine."""

import os
import resource
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from doctor_cases import Place

from cli.checks import machine
from cli.checks.check import Check


def machine_checks(changes: Any = None, **settings: Any) -> Any:
    """Return the checks of a machine with these changes and settings."""

    def checks(place: Place) -> Iterable[Check]:
        if changes:
            changes(place)
        return list(machine.check_machine(place.settings(**settings)))

    return checks


def unused_gpu(place: Place) -> None:
    """Show a GPU that no installed library can use."""
    place.monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    place.monkeypatch.setattr(machine, "distributions", list)
    place.monkeypatch.setattr(machine, "find_library", lambda _name: None)


def little_memory(place: Place) -> None:
    """Show a quarter of a GiB of free memory."""
    little = SimpleNamespace(available=2**28, total=2**30)
    place.monkeypatch.setattr(machine.psutil, "virtual_memory", lambda: little)


def free_space(number: int) -> Any:
    """Return the change that leaves so many bytes on the disk."""
    return lambda place: place.monkeypatch.setattr(
        machine.shutil, "disk_usage", lambda _folder: SimpleNamespace(free=number)
    )


def no_access(place: Place) -> None:
    """Refuse access to every file."""
    place.monkeypatch.setattr(os, "access", lambda *_arguments, **_options: False)


def on_a_share(place: Place) -> None:
    """Put the state folder on a network share."""
    place.monkeypatch.setattr(machine, "_file_system", lambda _folder: "nfs4")


def few_files(place: Place) -> None:
    """Limit the number of open files."""
    place.monkeypatch.setattr(resource, "getrlimit", lambda _what: (256, 1024))


def few_watches(place: Place) -> None:
    """Limit the number of watched folders."""
    (path := place.folder / "watches").write_text("128\n")
    place.monkeypatch.setattr(machine, "_WATCHES", path)
