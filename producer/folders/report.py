"""What a scan of a folder met."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderReport:
    """Numbers only, so that it may be logged and stored."""

    known: int = 0
    """Files present that are registered."""
    pending: int = 0
    """Files present that are not complete yet."""
    temporary: int = 0
    """Names that say that they are being written."""
    temporary_old: int = 0
    """Those older than `temporary_alert_seconds`: somebody's transfer broke off."""
    temporary_oldest_seconds: float = 0.0
    hidden_folders: int = 0
    special: int = 0
    unreadable_folders: int = 0
    unreadable_names: int = 0
    vanished: int = 0
    root_missing: bool = False
    marker_missing: bool = False
    """The folder is there without the marker that it had: what is mounted there, if anything, is not the share."""
    root_emptied: bool = False
    """Files were known and this scan met none: perhaps the folder is not mounted."""
    disk_short: bool = False
    """Nothing is registered until there is room again on the disk of the state folder."""
    seconds: float = 0.0
    """Of walking, without what the consumer did meanwhile."""

    @property
    def troubles(self) -> tuple[int | bool, ...]:
        """What an operator should hear of when it changes."""
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
    """Temporary names that one scan met; grows while it goes on."""

    alert_seconds: float
    names: int = 0
    old: int = 0
    oldest_seconds: float = 0.0

    def add(self, age_seconds: float) -> None:
        """Count a name whose file was last written this long ago."""
        self.names += 1
        self.old += age_seconds > self.alert_seconds
        self.oldest_seconds = max(self.oldest_seconds, age_seconds)
