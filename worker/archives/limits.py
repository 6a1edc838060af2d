"""What an archive may hold, counted on what comes out of it, whatever it declares."""

from dataclasses import dataclass

from nightread.errors import RejectImage
from nightread.reasons import Reason

PIECE_BYTES = 1024**2
"""Members are read and written so many bytes at a time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchiveLimits:
    """Limits of one archive."""

    members: int
    member_bytes: int
    total_bytes: int


@dataclass(kw_only=True, slots=True)
class Meter:
    """What has come out so far."""

    limits: ArchiveLimits
    members: int = 0
    member_bytes: int = 0
    total_bytes: int = 0

    def add_member(self) -> None:
        """Raise RejectImage(ARCHIVE_LIMITS) for one too many."""
        self.members += 1
        self.member_bytes = 0
        if self.members > self.limits.members:
            raise _beyond(f"The archive holds more than {self.limits.members:,} files.")

    def add_bytes(self, count: int) -> None:
        """Raise RejectImage(ARCHIVE_LIMITS) for too many, of the member or of all."""
        self.member_bytes += count
        self.total_bytes += count
        if self.member_bytes > self.limits.member_bytes:
            raise _beyond(f"A file in the archive has more than {self.limits.member_bytes:,} bytes.")
        if self.total_bytes > self.limits.total_bytes:
            raise _beyond(f"More than {self.limits.total_bytes:,} bytes come out of the archive.")


def require_inside(name: str) -> None:
    """Raise RejectImage(ARCHIVE_ESCAPES) for a name that would lead out of its folder on some system."""
    parts = name.replace("\\", "/").split("/")
    if parts[0] == "" or ".." in parts or parts[0][1:2] == ":":
        raise RejectImage(Reason.ARCHIVE_ESCAPES)


def _beyond(detail: str) -> RejectImage:
    return RejectImage(Reason.ARCHIVE_LIMITS, detail)
