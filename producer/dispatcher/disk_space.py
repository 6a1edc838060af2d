"""Report the free disk space of this host, and whether it is low."""

from dataclasses import asdict, dataclass
from typing import Any

from nightread.settings import Settings
from producer.dispatcher.disk import DiskReserve

_MIB = 1024**2


@dataclass(frozen=True, kw_only=True, slots=True)
class DiskSpace:
    """The free space of this host: the smallest free space of the disks of its state folder, SQLite file and spool."""

    free_bytes: int | None
    """Free space in bytes, or None if it is unknown for all disks."""
    alarm_bytes: int
    reserve_bytes: int

    @property
    def is_low(self) -> bool:
        """Return whether the free space is below the threshold of the alarm."""
        return self.free_bytes is not None and self.free_bytes < self.alarm_bytes

    @property
    def line(self) -> str:
        """Return the sentence for `status`."""
        return (
            f"A disk has only {(self.free_bytes or 0) / _MIB:,.0f} MiB free: free some space. "
            f"Archives wait until {self.alarm_bytes / _MIB:,.0f} MiB are free; below "
            f"{self.reserve_bytes / _MIB:,.0f} MiB (disk_reserve_bytes) all work stops and received images are refused."
        )

    def to_json(self) -> dict[str, Any]:
        """Return the object for `status --json`."""
        return asdict(self) | {"low": self.is_low}


def disk_space(settings: Settings) -> DiskSpace:
    """Ask the disks of this host for their free space."""
    reserve = DiskReserve(settings, settings.spool_folder.absolute())
    return DiskSpace(
        free_bytes=reserve.free_bytes(),
        alarm_bytes=reserve.alarm_bytes,
        reserve_bytes=settings.disk_reserve_bytes,
    )
