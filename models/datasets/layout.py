"""Folders whose names tell the class of the images in them, and maybe their part."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from models.datasets.splitting import TEST, TRAIN, VALIDATION

_PART_FOLDERS = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation"), VALIDATION),
    **dict.fromkeys(("test", "testing"), TEST),
}
_LEFT_BY_ARCHIVERS = "__MACOSX"


@dataclass(frozen=True, kw_only=True)
class Layout:
    """`CLASS/...` or, where the parts are given, `PART/CLASS/...`."""

    parts: frozenset[int]
    """Parts that have a folder; empty where the files are still to be split."""

    def part_of(self, name: str) -> int | None:
        """The part whose folder the file lies in; None outside of them."""
        return _PART_FOLDERS.get(_first(name)) if self.parts else None

    def class_of(self, name: str) -> str | None:
        """The class folder that the file lies in, at any depth; None outside of them."""
        folders = PurePosixPath(name).parts[:-1]
        if self.parts:
            return folders[1] if len(folders) > 1 and self.part_of(name) is not None else None
        return folders[0] if folders else None


def read_layout(names: Sequence[str]) -> Layout:
    """The parts are given where there is a folder `train` and one for validation or test."""
    found = frozenset(_PART_FOLDERS[_first(name)] for name in names if "/" in name and _first(name) in _PART_FOLDERS)
    return Layout(parts=found if TRAIN in found and len(found) > 1 else frozenset())


def list_files(folder: Path) -> list[str]:
    """Paths below the folder with `/` between their parts, sorted; hidden ones are left out."""
    names: list[str] = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name != _LEFT_BY_ARCHIVERS]
        below = Path(place).relative_to(folder)
        names += [(below / name).as_posix() for name in files if not name.startswith(".")]
    return sorted(names)


def _first(name: str) -> str:
    return name.partition("/")[0].lower()
