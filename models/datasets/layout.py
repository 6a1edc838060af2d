"""Read the class of an image, and its part if given, from the names of its folders."""

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
_MACOS_METADATA = "__MACOSX"


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The layout of a folder: `CLASS/...`, or `PART/CLASS/...` if parts are given."""

    parts: frozenset[int]
    """The parts that have a folder; empty if the files must still be split."""

    def part_of(self, name: str) -> int | None:
        """Return the part whose folder contains the file; None outside of these folders."""
        return _PART_FOLDERS.get(_first(name)) if self.parts else None

    def class_of(self, name: str) -> str | None:
        """Return the class folder that contains the file at any depth; None outside of class folders."""
        folders = PurePosixPath(name).parts[:-1]
        if self.parts:
            return folders[1] if len(folders) > 1 and self.part_of(name) is not None else None
        return folders[0] if folders else None


def read_layout(names: Sequence[str]) -> Layout:
    """Detect the layout: parts are given if there is a folder `train` and a folder for validation or test."""
    found = frozenset(_PART_FOLDERS[_first(name)] for name in names if "/" in name and _first(name) in _PART_FOLDERS)
    return Layout(parts=found if TRAIN in found and len(found) > 1 else frozenset())


def list_files(folder: Path) -> list[str]:
    """List relative paths below the folder, with `/` as separator, sorted; hidden files and folders are left out."""
    names: list[str] = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name != _MACOS_METADATA]
        below = Path(place).relative_to(folder)
        names += [(below / name).as_posix() for name in files if not name.startswith(".")]
    return sorted(names)


def empty_classes(folder: Path, layout: Layout) -> list[str]:
    """Return the names of class folders that exist and hold no file in any part, sorted."""
    tops = [top for top in _folders(folder) if not layout.parts or top.name.lower() in _PART_FOLDERS]
    classes = [below for top in tops for below in _folders(top)] if layout.parts else tops
    held = {layout.class_of(name) for name in list_files(folder)}
    return sorted({each.name for each in classes} - held)


def _folders(place: Path) -> list[Path]:
    return [
        each
        for each in place.iterdir()
        if each.is_dir() and not each.name.startswith(".") and each.name != _MACOS_METADATA
    ]


def _first(name: str) -> str:
    return name.partition("/")[0].lower()
