"""Enforce the limits of an archive on the bytes that are really unpacked, not on the sizes that it declares."""

from dataclasses import dataclass

from nightread.errors import RejectImage
from nightread.reasons import Reason

PIECE_BYTES = 1024**2
"""Members are read and written in pieces of at most 1 MiB."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchiveLimits:
    """Limits of one archive: number of files, bytes per file and bytes in total."""

    members: int
    member_bytes: int
    total_bytes: int


@dataclass(kw_only=True, slots=True)
class Meter:
    """Counts what was unpacked from one archive, and stops at its limits."""

    limits: ArchiveLimits
    members: int = 0
    member_bytes: int = 0
    total_bytes: int = 0

    def add_member(self) -> None:
        """Count one more file. Raises RejectImage(ARCHIVE_LIMITS) if the archive holds too many files."""
        self.members += 1
        self.member_bytes = 0
        if self.members > self.limits.members:
            raise _over_limit(f"The archive holds more than {self.limits.members:,} files.")

    def add_bytes(self, count: int) -> None:
        """Count bytes of the current file. Raises RejectImage(ARCHIVE_LIMITS) if the file or the total is too large."""
        self.member_bytes += count
        self.total_bytes += count
        if self.member_bytes > self.limits.member_bytes:
            raise _over_limit(f"A file in the archive is larger than {self.limits.member_bytes:,} bytes.")
        if self.total_bytes > self.limits.total_bytes:
            raise _over_limit(f"The files in the archive have more than {self.limits.total_bytes:,} bytes in total.")


def require_inside(name: str) -> None:
    """Raise RejectImage(ARCHIVE_ESCAPES) if the name, as a path, would leave its folder on Linux, macOS or Windows."""
    parts = name.replace("\\", "/").split("/")
    if parts[0] == "" or ".." in parts or parts[0][1:2] == ":":
        raise RejectImage(Reason.ARCHIVE_ESCAPES)


def _over_limit(detail: str) -> RejectImage:
    return RejectImage(Reason.ARCHIVE_LIMITS, detail)
