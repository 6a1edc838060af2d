"""List the files of a drop folder that are complete and not yet registered."""

import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Self

from sqlalchemy.engine import make_url

from db.ledger import Arrival
from nightread.errors import UsageFault
from nightread.open_beneath import open_folder, status_beneath
from nightread.paths import ROOT_MARKER, absolute, mtime_of, uri_of
from nightread.settings import Settings
from producer.folders.report import FolderReport, Temporaries
from producer.folders.settling import Monotonic, Settling
from producer.folders.walk import Entry, Obstacles, RootMissing, is_arrival, walk

CHUNK_ARRIVALS = 1000
CHUNK_SECONDS = 0.2
"""A chunk is yielded at least this often during a scan, even if it is empty."""
Chunks = Generator[list[Arrival], None, None]
_OLD_SECONDS = 60
_OLD_SETTLE_PERIODS = 10
"""A file is old if it did not change for 60 s, or for ten times `settle_seconds` if this is longer (`_is_old`)."""


class Folder:
    """Finds the files of one folder that are not registered. It reads directories, never files, and deletes nothing.

    The files of a chunk count as registered when the consumer asks for the next chunk; if it stops before, they are
    returned again. Memory grows with the files present (one 16-byte digest each), not with files that were removed.
    """

    def __init__(
        self,
        root: Path,
        settings: Settings,
        *,
        settle: bool = True,
        only: bytes | None = None,
        monotonic: Monotonic = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Without `settle` all files count as complete; `only` restricts scans to one path below the root.

        Raises UsageFault if the folder is nightread's own state folder.
        """
        self.root = absolute(root)
        self._settle = settle
        self._only = only
        self._monotonic = monotonic
        self._wall = wall
        self._suffixes = tuple(os.fsencode(suffix.lower()) for suffix in settings.temporary_suffixes if suffix)
        self._alert_seconds = settings.temporary_alert_seconds
        self._old_seconds = max(_OLD_SECONDS, _OLD_SETTLE_PERIODS * settings.settle_seconds)
        self._skip = _own_paths(self.root, settings)
        self._settling = Settling(settings.settle_seconds)
        self._known: dict[bytes, int] = {}  # digest of path, size and time -> number of the latest scan that found it
        self._scans = 0
        self._first_scan = True
        self._report = FolderReport()
        self.marked = False
        """True if the folder has or had its marker. If True and the marker is missing, the folder is not mounted."""

    @classmethod
    def from_path(cls, path: Path, settings: Settings) -> Self:
        """Return the folder at `path`, or the parent folder restricted to the one file at `path`, for `nightread run`.

        All files count as complete. Raises UsageFault if there is neither a file nor a folder at `path`.
        """
        path = absolute(path)
        try:
            mode = path.lstat().st_mode
            is_folder = path.is_dir()
        except OSError as error:
            raise UsageFault(
                f"There is no readable file or folder at {path} ({type(error).__name__}). Check the path."
            ) from error
        if is_folder:
            return cls(path, settings, settle=False)
        if not is_arrival(mode):
            raise UsageFault(f"{path} is neither a file nor a folder.")
        return cls(path.parent, settings, settle=False, only=os.fsencode(path.name))

    @property
    def only(self) -> str | None:
        """Return the URI of the one file to which scans are restricted; None if all files are scanned."""
        return None if self._only is None else uri_of(self._only)

    @property
    def report(self) -> FolderReport:
        """Return the result of the latest scan."""
        return self._report

    def has_marker(self) -> bool:
        """Return whether the folder contains nightread.paths.ROOT_MARKER."""
        return os.path.lexists(self.root / ROOT_MARKER)

    def scan(self, visit: Callable[[bytes], None] = lambda _folder: None) -> Chunks:
        """Yield complete files that are not registered, in chunks of at most 1,000. `visit` is called with each folder.

        A chunk, which may be empty, is yielded about every 0.2 s, unless the storage needs longer to answer. So the
        consumer can stop, and a slow scan does not delay files that are already found. Raises RootMissing.
        """
        self._require_marker()
        self._scans += 1
        this_scan = _FolderScan(
            temporaries=Temporaries(alert_seconds=self._alert_seconds), resumed_at=self._monotonic()
        )
        try:
            for path, status in self._entries(this_scan.obstacles, visit):
                now = self._monotonic()
                self._classify(path, status, this_scan, now)
                if len(this_scan.ready) >= CHUNK_ARRIVALS or now - this_scan.resumed_at >= CHUNK_SECONDS:
                    yield from self._yield_ready(this_scan)
            yield from self._yield_ready(this_scan)
        except RootMissing:
            self._settling.abandon_scan()
            self._report = replace(self._report, root_missing=True, marker_missing=False)
            raise
        self._finish_scan(this_scan)

    def scan_paths(self, paths: Iterable[bytes]) -> Chunks:
        """Yield the files at these paths below the root that are not registered. Events have reported them as complete.

        Yields nothing while the marker is missing: the files are then in the mount point, not on the share.
        """
        if self.marked and not self.has_marker():
            return
        this_scan = _FolderScan(
            temporaries=Temporaries(alert_seconds=self._alert_seconds), resumed_at=self._monotonic()
        )
        for path, status in self._entries_at(paths):
            digest = _digest(path, status)
            if digest not in self._known:
                this_scan.ready[digest] = _arrival(path, status)
            if len(this_scan.ready) >= CHUNK_ARRIVALS:
                yield from self._yield_ready(this_scan)
        yield from self._yield_ready(this_scan)

    def forget(self) -> None:
        """Forget which files are registered, since the database may have lost them. The next scan returns all files."""
        self._known.clear()

    def _require_marker(self) -> None:
        if self.marked and not self.has_marker():
            is_missing = not self.root.is_dir()
            self._report = replace(self._report, root_missing=is_missing, marker_missing=not is_missing)
            raise RootMissing(
                f"The source folder {self.root} lacks its marker {ROOT_MARKER}. Check that the share is mounted."
            )

    def _entries(self, obstacles: Obstacles, visit: Callable[[bytes], None]) -> Iterator[Entry]:
        if self._only is None:
            return walk(self.root, obstacles, skip=self._skip, visit=visit)
        return self._stat([self._only])

    def _entries_at(self, paths: Iterable[bytes]) -> Iterator[Entry]:
        return self._stat(path for path in paths if path not in self._skip and not self._is_temporary(path))

    def _stat(self, paths: Iterable[bytes]) -> Iterator[Entry]:
        try:
            root = open_folder(self.root)
        except OSError:  # reported by the next scan
            return
        try:
            for path in paths:
                try:
                    status = status_beneath(root, path)
                except OSError:  # deleted, or reported by the next scan
                    continue
                if is_arrival(status.st_mode):
                    yield path, status
        finally:
            os.close(root)

    def _classify(self, path: bytes, status: os.stat_result, this_scan: "_FolderScan", now: float) -> None:
        digest = _digest(path, status)
        if digest in self._known:
            self._known[digest] = self._scans
        elif self._only is None and self._is_temporary(path):
            this_scan.temporaries.add(max(0.0, self._wall() - status.st_mtime))
        elif self._is_complete(digest, status, now):
            this_scan.ready[digest] = _arrival(path, status)

    def _is_temporary(self, path: bytes) -> bool:
        name = path.rpartition(b"/")[2].lower()
        return name.startswith(b".") or name.endswith(self._suffixes)

    def _is_complete(self, digest: bytes, status: os.stat_result, now: float) -> bool:
        return not self._settle or self._is_old(status) or self._settling.is_settled(digest, now)

    def _is_old(self, status: os.stat_result) -> bool:
        """Return whether this is the first scan and the file is old: it then counts as complete without settling.

        Files found by later scans always settle, since a file server's clock may be wrong. The inode change time
        (ctime) counts too: copy programs reset the modification time but cannot reset ctime.
        """
        return self._first_scan and self._wall() - max(status.st_mtime, status.st_ctime) > self._old_seconds

    def _yield_ready(self, this_scan: "_FolderScan") -> Chunks:
        yielded_at = self._monotonic()
        this_scan.seconds += yielded_at - this_scan.resumed_at
        yield list(this_scan.ready.values())
        self._known.update(dict.fromkeys(this_scan.ready, self._scans))
        this_scan.ready = {}
        this_scan.resumed_at = self._monotonic()

    def _finish_scan(self, this_scan: "_FolderScan") -> None:
        had = len(self._known)
        if any(number != self._scans for number in self._known.values()):
            self._known = {digest: number for digest, number in self._known.items() if number == self._scans}
        self._settling.end_scan()
        self._first_scan = False
        present = len(self._known) + len(self._settling)
        self._report = FolderReport(
            known=len(self._known),
            pending=len(self._settling),
            temporary=this_scan.temporaries.names,
            temporary_old=this_scan.temporaries.old,
            temporary_oldest_seconds=this_scan.temporaries.oldest_seconds,
            root_emptied=not present and (had > 0 or self._report.root_emptied),
            seconds=this_scan.seconds,
            **asdict(this_scan.obstacles),
        )


@dataclass(kw_only=True, slots=True)
class _FolderScan:
    """The result of one scan of the folder, while it runs."""

    temporaries: Temporaries
    resumed_at: float
    """Monotonic time at which the consumer asked for the latest chunk."""
    obstacles: Obstacles = field(default_factory=Obstacles)
    ready: dict[bytes, Arrival] = field(default_factory=dict)
    seconds: float = 0.0


def _digest(path: bytes, status: os.stat_result) -> bytes:
    return blake2b(b"%d %d %b" % (status.st_size, status.st_mtime_ns, path), digest_size=16).digest()


def _arrival(path: bytes, status: os.stat_result) -> Arrival:
    return Arrival(uri=uri_of(path), size=status.st_size, mtime_ns=mtime_of(status))


def _own_paths(root: Path, settings: Settings) -> frozenset[bytes]:
    """Return the paths below the root that nightread itself writes, so that scans skip them."""
    state, root = settings.state_dir.resolve(), root.resolve()
    if state == root:
        raise UsageFault(
            f"{root} is nightread's state folder and cannot be a source. Choose another state folder with --state."
        )
    url = make_url(settings.sql_url)
    database = Path(url.database or "").resolve() if url.get_backend_name() == "sqlite" else state
    marker = root / ROOT_MARKER
    spool = settings.spool_folder.resolve()
    own = [
        marker,
        state,
        *([spool] if spool != root else []),
        *(database.with_name(database.name + ending) for ending in ("", "-wal", "-shm", "-journal")),
    ]
    return frozenset(os.fsencode(path.relative_to(root)) for path in own if path.is_relative_to(root))
