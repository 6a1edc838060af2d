"""Hold the counts and problems of a folder scan."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderReport:
    """The result of a scan, without any names, so that it may be logged and stored."""

    known: int = 0
    """Number of present files that are registered."""
    pending: int = 0
    """Number of present files that are not complete yet."""
    temporary: int = 0
    """Number of files whose temporary name shows that they are being written."""
    temporary_old: int = 0
    """Number of temporary files older than `temporary_alert_seconds`: a transfer was probably interrupted."""
    temporary_oldest_seconds: float = 0.0
    hidden_folders: int = 0
    special: int = 0
    unreadable_folders: int = 0
    unreadable_names: int = 0
    vanished: int = 0
    root_missing: bool = False
    marker_missing: bool = False
    """The folder exists without the marker that it had: the share is probably not mounted."""
    root_emptied: bool = False
    """Files were known before, but the scan found no file: the folder may not be mounted."""
    disk_short: bool = False
    """Nothing is registered until the disks of the state folder and of SQLite's file have enough free space."""
    disk_low: bool = False
    """The disk of the state folder or of SQLite's file has less than four times the reserve free: registration may soon
    stop."""
    seconds: float = 0.0
    """Duration of the scan, without the time that the consumer took to register the files."""

    @property
    def troubles(self) -> tuple[int | bool, ...]:
        """Return the values whose changes are logged for the operator."""
        return (
            self.root_missing,
            self.marker_missing,
            self.root_emptied,
            self.disk_short,
            self.unreadable_folders,
            self.unreadable_names,
            self.special,
            self.temporary_old,
        )


@dataclass(kw_only=True, slots=True)
class Temporaries:
    """Counts the files with temporary names during one scan."""

    alert_seconds: float
    names: int = 0
    old: int = 0
    oldest_seconds: float = 0.0

    def add(self, age_seconds: float) -> None:
        """Count a file that was last written `age_seconds` ago."""
        self.names += 1
        self.old += age_seconds > self.alert_seconds
        self.oldest_seconds = max(self.oldest_seconds, age_seconds)
