"""Wait for file-system events, which name complete files or ask for a scan.

A lost event does no harm, since scans find all files.
"""

import errno
import logging
import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from nightread.paths import join

log = logging.getLogger(__name__)

SLICE_SECONDS = 0.25
"""The longest single wait, so that a stop is noticed within this time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FileEvents:
    """The events of one wait."""

    completed: tuple[bytes, ...] = ()
    """Paths, below the root, of files that were closed after writing or moved in; each path once."""
    scan: bool = False
    """True if a scan is needed, because a folder is new or events were lost."""


NO_EVENTS = FileEvents()


def open_events(root: Path, stop: threading.Event) -> "InotifyEvents | NoEvents":
    """Return the inotify events of the folders below `root`, or a plain wait on systems without inotify."""
    if not sys.platform.startswith("linux"):
        return NoEvents(stop)
    try:
        return InotifyEvents(root)
    except OSError as error:
        log.warning(
            "inotify is unavailable: new files are found only by the regular scan (scan_seconds)",
            extra={"errno": error.errno},
        )
        return NoEvents(stop)


class NoEvents:
    """Waits for the next scan or for `stop` where there are no file-system events."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        return None

    def watch(self, folder: bytes) -> None:
        """Do nothing."""

    def end_scan(self) -> None:
        """Do nothing."""

    def wait(self, seconds: float) -> FileEvents:
        """Wait, at most 0.25 s; returns no events."""
        self._stop.wait(min(seconds, SLICE_SECONDS))
        return NO_EVENTS


class InotifyEvents:
    """Keeps inotify watches on the folders that the scan visits. Raises OSError if inotify cannot be opened."""

    def __init__(self, root: Path) -> None:
        from inotify_simple import INotify, flags  # noqa: PLC0415 - Linux only

        self._root = os.fsencode(root)
        self._flags: Any = flags
        self._mask = flags.CLOSE_WRITE | flags.MOVED_TO | flags.CREATE | flags.ONLYDIR | flags.EXCL_UNLINK
        self._inotify: Any = INotify()
        self._folders: dict[int, bytes] = {}
        self._visited: set[int] = set()
        self._limit_reported = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self._inotify.close()

    def watch(self, folder: bytes) -> None:
        """Watch this folder. Scans call this before they list a folder, so that no new file is missed.

        Each scan calls this again: a renamed folder keeps its watch and gets its new path here.
        """
        try:
            watch = self._inotify.add_watch(join(self._root, folder), self._mask)
        except OSError as error:
            if error.errno == errno.ENOSPC and not self._limit_reported:
                self._limit_reported = True
                log.warning(
                    "no inotify watches are left: new files in other folders are found only by the regular scan "
                    "(scan_seconds); raise fs.inotify.max_user_watches",
                    extra={"watches": len(self._folders)},
                )
            return
        self._folders[watch] = folder
        self._visited.add(watch)

    def end_scan(self) -> None:
        """Remove the watches of folders that the scan did not visit, since they were moved away."""
        for watch in self._folders.keys() - self._visited:
            del self._folders[watch]
            try:
                self._inotify.rm_watch(watch)
            except OSError as error:
                if error.errno != errno.EINVAL:  # the kernel removes the watch of a deleted folder
                    raise
        self._visited = set()

    def wait(self, seconds: float) -> FileEvents:
        """Wait for events, at most 0.25 s; returns as soon as one comes."""
        # Round up: a wait of 0 ms for a remainder of 0.4 ms would spin.
        milliseconds = int(min(seconds, SLICE_SECONDS) * 1000) + 1 if seconds > 0 else 0
        events = self._inotify.read(timeout=milliseconds)
        return self._read(events) if events else NO_EVENTS

    def _read(self, events: list[Any]) -> FileEvents:
        flags = self._flags
        completed: dict[bytes, None] = {}
        scan = False
        for event in events:
            if event.mask & flags.IGNORED:
                self._folders.pop(event.wd, None)
            elif event.mask & (flags.ISDIR | flags.Q_OVERFLOW):
                scan = True
            elif event.mask & (flags.CLOSE_WRITE | flags.MOVED_TO) and event.wd in self._folders:
                completed[join(self._folders[event.wd], os.fsencode(event.name))] = None
        return FileEvents(completed=tuple(completed), scan=scan)
