"""Find files that others than their owner may access."""

import stat
from pathlib import Path

_OWNER_ONLY = 0o700


def shared(folder: Path) -> list[str]:
    """Return what others may access of a folder and below it, with its mode."""
    found = [folder, *(path for path in folder.rglob("*") if not path.is_symlink())]
    modes = {path: stat.S_IMODE(path.lstat().st_mode) for path in found}
    return [f"{path.relative_to(folder)} {mode:o}" for path, mode in modes.items() if mode & ~_OWNER_ONLY]
