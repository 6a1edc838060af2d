"""File-system events: hints that shorten the wait. The scan is the truth, so any of them may be lost."""

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
"""The longest wait in one go: so soon is a stop noticed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FileEvents:
    """What happened while we waited."""

    completed: tuple[bytes, ...] = ()
    """Paths below the root of files that were closed after writing or moved in, each once."""
    scan: bool = False
    """A folder came, or events were lost: only a scan can tell."""


NOTHING = FileEvents()


def open_events(root: Path, stop: threading.Event) -> "InotifyEvents | NoEvents":
    """Events of the folders below `root` where the system tells of them, else a plain wait."""
    if not sys.platform.startswith("linux"):
        return NoEvents(stop)
    try:
        return InotifyEvents(root)
    except OSError as error:
        log.warning("no file-system events: new files are found by scanning", extra={"errno": error.errno})
        return NoEvents(stop)


class NoEvents:
    """Where nothing tells of changes (network mounts too): wait for the next scan, or for `stop`."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        return None

    def watch(self, folder: bytes) -> None:
        """Nothing to be done."""

    def end_scan(self) -> None:
        """Nothing to be done."""

    def wait(self, seconds: float) -> FileEvents:
        """Wait, at most 0.25 s."""
        self._stop.wait(min(seconds, SLICE_SECONDS))
        return NOTHING


class InotifyEvents:
    """Inotify watches on the folders that the scan visits. Raises OSError where the system has none left."""

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
        """Hear of this folder from now on; called before it is listed, so that nothing falls between.

        Called again by each scan: a folder that was renamed keeps its watch and is entered under its new path.
        """
        try:
            watch = self._inotify.add_watch(join(self._root, folder), self._mask)
        except OSError as error:
            if error.errno == errno.ENOSPC and not self._limit_reported:
                self._limit_reported = True
                log.warning(
                    "no more inotify watches (fs.inotify.max_user_watches): the other folders are only scanned",
                    extra={"watches": len(self._folders)},
                )
            return
        self._folders[watch] = folder
        self._visited.add(watch)

    def end_scan(self) -> None:
        """Give up the watches of folders that the scan did not visit: they were moved away."""
        for watch in self._folders.keys() - self._visited:
            del self._folders[watch]
            try:
                self._inotify.rm_watch(watch)
            except OSError as error:
                if error.errno != errno.EINVAL:  # deleted folders lose their watch by themselves
                    raise
        self._visited = set()

    def wait(self, seconds: float) -> FileEvents:
        """Wait for events, at most 0.25 s; returns as soon as there are some."""
        # Round up: a wait of 0 ms for a remainder of 0.4 ms would spin.
        milliseconds = int(min(seconds, SLICE_SECONDS) * 1000) + 1 if seconds > 0 else 0
        events = self._inotify.read(timeout=milliseconds)
        return self._read(events) if events else NOTHING

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
