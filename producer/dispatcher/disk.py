"""Room on the disk of the state folder: work stops while there is some left, so that what runs can be recorded."""

import os
from pathlib import Path

from sqlalchemy.engine import make_url

from nightread.settings import Settings

_MIB = 1024**2
_MORE = 1.1
"""So much more than the reserve must be free again: at the mark itself work would start and stop by turns."""


class DiskReserve:
    """Room that must stay free on the disks of the state folder and of SQLite's file, and of `also`; 0: no reserve."""

    def __init__(self, settings: Settings, *also: Path) -> None:
        self._reserve_bytes = settings.disk_reserve_bytes
        self._folders = _folders(settings) | frozenset(also)

    def is_short(self, *, before: bool) -> bool:
        """Whether less is free than the reserve; where it was short `before`, than a tenth more."""
        wanted = self._reserve_bytes * (_MORE if before else 1)
        return any((free := _free_bytes(folder)) is not None and free < wanted for folder in self._folders)

    @property
    def sentence(self) -> str:
        """What is wrong, for `status`."""
        return f"The disk of the state folder has less than {self._reserve_bytes / _MIB:,.0f} MiB free."


def _folders(settings: Settings) -> frozenset[Path]:
    url = make_url(settings.sql_url)
    database = Path(url.database or "") if url.get_backend_name() == "sqlite" else None
    return frozenset({settings.state_dir} | ({database.absolute().parent} if database else set()))


def _free_bytes(folder: Path) -> int | None:
    """Free to this user; None where nobody can tell: the folder is gone, or its file system has no size."""
    try:
        status = os.statvfs(folder)
    except OSError:
        return None
    return status.f_bavail * status.f_frsize if status.f_blocks else None
