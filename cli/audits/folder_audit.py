"""Compare a source folder with the database, by a scan that shares no code with the producer."""

import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from cli.wording import counted
from db import queries
from db.engine import Database
from nightread.paths import ROOT_MARKER, full_uri, path_of, root_path, root_text, uri_of
from nightread.settings import Settings
from nightread.stores import STORES

OVERLOOKED = "every file that was in a watched folder at its last scan has a row"
_NOT_WALKED = dict.fromkeys(STORES, "a store, not a folder: `nightread poll` keeps the database up to date")
_CHUNK = 500
_GRACE_SECONDS = 60.0
"""A file that changed within this time before the watcher's latest report is not counted as overlooked."""
_GRACE_SETTLES = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderFindings:
    """Differences between the folder of one source and the database. Only `overlooked` files violate a rule."""

    source: str
    kind: str
    looked_at: bool
    """Whether the folder was compared. False if the source is not a folder, or if its folder is not on this host."""
    files: int = 0
    without_row: tuple[str, ...] = ()
    """Full paths of complete files that have no row in the database."""
    overlooked: tuple[str, ...] = ()
    """Files without a row that were complete before the watcher's last scan: that scan should have registered them."""
    gone: tuple[tuple[int, str], ...] = ()
    """(image id, full path) of rows whose file no longer exists."""
    purged: int = 0
    """Number of rows whose file was received or unpacked, and was removed by nightread some days after the outcome."""
    unreadable_folders: int = 0
    """Folders that this user may not read."""
    old_temporaries: int = 0
    """Files with the name of an unfinished transfer that did not change for `temporary_alert_seconds`."""

    @property
    def summary(self) -> str:
        """Describe the differences in one line."""
        if not self.looked_at:
            return _NOT_WALKED.get(self.kind, "its folder does not exist on this machine, or its share is not mounted")
        counts = ", ".join(
            (
                counted(self.files, "file"),
                f"{len(self.without_row):,} without a row",
                f"{counted(len(self.gone), 'row')} without a file",
            )
        )
        more = {
            "purged after the retention time": self.purged,
            "old temporary": self.old_temporaries,
            "unreadable": self.unreadable_folders,
        }
        return ", ".join([counts, *(f"{number:,} {what}" for what, number in more.items() if number)])

    def to_json(self) -> dict[str, Any]:
        """Return the differences with stable names, for programs."""
        return {
            "source": self.source,
            "kind": self.kind,
            "looked_at": self.looked_at,
            "files": self.files,
            "without_row": list(self.without_row),
            "overlooked": list(self.overlooked),
            "gone": [{"image_id": image_id, "uri": uri} for image_id, uri in self.gone],
            "purged": self.purged,
            "unreadable_folders": self.unreadable_folders,
            "old_temporaries": self.old_temporaries,
        }


def compare(database: Database, source: queries.Source, settings: Settings) -> FolderFindings:
    """Walk the folder of a source and look up a row for each file, then look for the file of each row."""
    root = settings.roots.get(source.name) or root_path(source.root)
    if source.kind != "folder" or not root.is_dir() or (source.marked and not os.path.lexists(root / ROOT_MARKER)):
        return FolderFindings(source=source.name, kind=source.kind, looked_at=False)
    walk = _Walk(root, settings)
    text, files, without_row = root_text(root), 0, []
    names = iter(walk)
    while chunk := list(islice(names, _CHUNK)):
        files += len(chunk)
        without_row += queries.missing_from_ledger(database, source.id, [uri_of(name) for name in chunk])
    gone = [(image_id, uri) for image_id, uri in queries.uris_of(database, source.id) if not _exists(root, uri)]
    return FolderFindings(
        source=source.name,
        kind=source.kind,
        looked_at=True,
        files=files,
        without_row=tuple(full_uri(text, uri) for uri in without_row),
        overlooked=tuple(
            full_uri(text, uri) for uri in without_row if _was_overlooked(path_of(root, uri), source, settings)
        ),
        gone=tuple((image_id, full_uri(text, uri)) for image_id, uri in gone),
        unreadable_folders=walk.unreadable_folders,
        old_temporaries=walk.old_temporaries,
    )


class _Walk:
    """Iterates over the files below a root, as relative paths in bytes.

    Hidden folders, the state folder and the spool are left out.
    """

    def __init__(self, root: Path, settings: Settings) -> None:
        self._root = os.fsencode(root)
        self._own = {os.fsencode(folder.resolve()) for folder in (settings.state_dir, settings.spool_folder)}
        self._suffixes = tuple(os.fsencode(suffix.lower()) for suffix in settings.temporary_suffixes if suffix)
        self._oldest = time.time() - settings.temporary_alert_seconds
        self.unreadable_folders = 0
        self.old_temporaries = 0

    def __iter__(self) -> Iterator[bytes]:
        for folder, folders, names in os.walk(self._root, onerror=self._count_unreadable):
            folders[:] = [name for name in folders if not self._is_left_out(folder, name)]
            for name in names:
                path = os.path.join(folder, name)  # noqa: PTH118 - names are bytes
                if name.startswith(b".") or name.lower().endswith(self._suffixes):
                    self.old_temporaries += _mtime(path) < self._oldest
                elif _is_arrival(path):
                    yield os.path.relpath(path, self._root)

    def _count_unreadable(self, _error: OSError) -> None:
        self.unreadable_folders += 1

    def _is_left_out(self, folder: bytes, name: bytes) -> bool:
        return name.startswith(b".") or os.path.realpath(os.path.join(folder, name)) in self._own  # noqa: PTH118


def _was_overlooked(path: bytes, source: queries.Source, settings: Settings) -> bool:
    """Return whether the file was complete before the latest scan of the source's watcher began."""
    report = source.report or {}
    if source.reported_at is None or report.get("disk_short"):
        return False
    grace = max(_GRACE_SECONDS, _GRACE_SETTLES * settings.settle_seconds) + 2 * float(report.get("seconds", 0))
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return False
    return max(status.st_mtime, status.st_ctime) < source.reported_at.timestamp() - grace


def _is_arrival(path: bytes) -> bool:
    """Return whether this is a file or a link; the watcher ignores pipes, sockets and devices."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return False
    return stat.S_ISREG(mode) or stat.S_ISLNK(mode)


def _exists(root: Path, uri: str) -> bool:
    try:
        return os.path.lexists(path_of(root, uri))
    except ValueError:  # the path leaves the root, so it is not a file of this source
        return False


def _mtime(path: bytes) -> float:
    try:
        return os.lstat(path).st_mtime
    except FileNotFoundError:  # renamed since it was listed, so its transfer is complete
        return time.time()
