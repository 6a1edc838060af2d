"""Check the free disk space. Work stops before the disk is full, so that running work can still be recorded."""

import logging
import os
from pathlib import Path

from sqlalchemy.engine import make_url

from nightread.disk import alarm_bytes
from nightread.settings import Settings

log = logging.getLogger(__name__)

_MIB = 1024**2
_HYSTERESIS = 1.1
"""Once the free space is below a threshold, it counts as too little until it is this many times the threshold. Without
this, the state could flap."""


class DiskReserve:
    """The bytes that must stay free on the disks of the state folder, of SQLite's file and of the folders in `also`."""

    def __init__(self, settings: Settings, *also: Path) -> None:
        self._reserve_bytes = settings.disk_reserve_bytes
        self._folders = _folders(settings) | frozenset(also)

    def is_short(self, *, before: bool) -> bool:
        """Return whether less than the reserve is free, or less than 1.1 times the reserve if it was short `before`."""
        return self._has_less_than(self._reserve_bytes, before=before)

    def is_low(self, *, before: bool) -> bool:
        """Return whether less than four times the reserve is free: work goes on, but may soon stop."""
        return self._has_less_than(self.alarm_bytes, before=before)

    @property
    def alarm_bytes(self) -> int:
        """Return the free space below which an operator is warned."""
        return alarm_bytes(self._reserve_bytes)

    def free_bytes(self) -> int | None:
        """Return the smallest free space of these disks, or None if it is unknown for all of them."""
        known = [free for folder in self._folders if (free := _free_bytes(folder)) is not None]
        return min(known, default=None)

    def _has_less_than(self, wanted: int, *, before: bool) -> bool:
        free = self.free_bytes()
        return free is not None and free < wanted * (_HYSTERESIS if before else 1)

    @property
    def message(self) -> str:
        """Explain in one sentence for `status` why dispatch is paused."""
        or_of = " or of SQLite's file" if len(self._folders) > 1 else ""
        return f"The disk of the state folder{or_of} has less than {self._reserve_bytes / _MIB:,.0f} MiB free."


class DiskAlarm:
    """Logs when a disk becomes nearly full, while everything still works, and when it has enough space again."""

    def __init__(self, reserve: DiskReserve) -> None:
        self._reserve = reserve
        self._is_low = False

    def check(self) -> bool:
        """Return whether the disk is nearly full; log a change."""
        is_low = self._reserve.is_low(before=self._is_low)
        if is_low is not self._is_low:
            self._is_low = is_low
            mib = {
                "free_mib": (self._reserve.free_bytes() or 0) // _MIB,
                "alarm_mib": self._reserve.alarm_bytes // _MIB,
            }
            if is_low:
                log.warning("a disk is nearly full: free some space before the disk reserve is reached", extra=mib)
            else:
                log.info("the disks have enough free space again", extra=mib)
        return is_low


def _folders(settings: Settings) -> frozenset[Path]:
    url = make_url(settings.sql_url)
    database = Path(url.database or "") if url.get_backend_name() == "sqlite" else None
    return frozenset({settings.state_dir} | ({database.absolute().parent} if database else set()))


def _free_bytes(folder: Path) -> int | None:
    """Return the bytes that this user may still write, or None if the folder is missing or its disk has no size."""
    try:
        status = os.statvfs(folder)
    except OSError:
        return None
    return status.f_bavail * status.f_frsize if status.f_blocks else None
