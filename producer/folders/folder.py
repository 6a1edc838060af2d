"""A drop folder: which of the files in it are complete and not yet registered."""

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
from nightread.paths import ROOT_MARKER, absolute, join, mtime_of, uri_of
from nightread.settings import Settings
from producer.folders.report import FolderReport, Temporaries
from producer.folders.settling import Monotonic, Settling
from producer.folders.walk import Entry, Obstacles, RootMissing, is_arrival, walk

CHUNK_ARRIVALS = 1000
BREATH_SECONDS = 0.2
Chunks = Generator[list[Arrival], None, None]
_OLD_SECONDS = 60
_OLD_SETTLES = 10


class Folder:
    """One folder and what is known of its files: reads directories, never files, and deletes nothing.

    An arrival counts as known once the consumer asks for what follows it: break off, and it is offered again.
    Memory is bounded by the files present (one 16-byte digest each), not by history.
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
        """Without `settle` all files count as complete; `only` restricts to one path below the root.

        Raises UsageFault where the folder is nightread's own state folder.
        """
        self.root = absolute(root)
        self._settle = settle
        self._only = only
        self._monotonic = monotonic
        self._wall = wall
        self._suffixes = tuple(os.fsencode(suffix.lower()) for suffix in settings.temporary_suffixes if suffix)
        self._alert_seconds = settings.temporary_alert_seconds
        self._old_seconds = max(_OLD_SECONDS, _OLD_SETTLES * settings.settle_seconds)
        self._skip = _own_paths(self.root, settings)
        self._settling = Settling(settings.settle_seconds)
        self._known: dict[bytes, int] = {}  # digest of path, size and time -> number of the latest scan that met it
        self._scans = 0
        self._first_scan = True
        self._report = FolderReport()
        self.marked = False
        """Whether the folder counts as away while it lacks its marker."""

    @classmethod
    def holding(cls, path: Path, settings: Settings) -> Self:
        """The folder for `nightread run`: all of a folder, or one file of its parent, and everything is complete.

        Raises UsageFault when there is neither at `path`.
        """
        path = absolute(path)
        try:
            mode = path.lstat().st_mode
            is_folder = path.is_dir()
        except OSError as error:
            raise UsageFault(f"No file or folder {path} can be reached ({type(error).__name__}).") from error
        if is_folder:
            return cls(path, settings, settle=False)
        if not is_arrival(mode):
            raise UsageFault(f"{path} is neither a file nor a folder.")
        return cls(path.parent, settings, settle=False, only=os.fsencode(path.name))

    @property
    def report(self) -> FolderReport:
        """What the latest scan met."""
        return self._report

    def has_marker(self) -> bool:
        """Whether nightread.paths.ROOT_MARKER lies in the folder."""
        return os.path.lexists(self.root / ROOT_MARKER)

    def scan(self, visit: Callable[[bytes], None] = lambda _folder: None) -> Chunks:
        """Complete files that are not known, in chunks of at most 1,000; `visit` hears of each folder (walk.walk).

        A chunk, perhaps an empty one, comes at least every 0.2 s (or as often as the storage answers), so that the
        consumer can stop, and a slow walk does not hold back what it found. Raises RootMissing.
        """
        self._require_marker()
        self._scans += 1
        this_pass = _DirectoryPass(temporaries=Temporaries(alert_seconds=self._alert_seconds), breath=self._monotonic())
        try:
            for path, status in self._entries(this_pass.obstacles, visit):
                now = self._monotonic()
                self._look_at(path, status, this_pass, now)
                if len(this_pass.ready) >= CHUNK_ARRIVALS or now - this_pass.breath >= BREATH_SECONDS:
                    yield from self._hand_out(this_pass)
            yield from self._hand_out(this_pass)
        except RootMissing:
            self._settling.abandon_walk()
            self._report = replace(self._report, root_missing=True, marker_missing=False)
            raise
        self._conclude(this_pass)

    def take(self, paths: Iterable[bytes]) -> Chunks:
        """Files at these paths below the root that are not known; somebody saw each of them completed.

        None while the folder lacks its marker: they lie in the folder on which the share is mounted at other times.
        """
        if self.marked and not self.has_marker():
            return
        this_pass = _DirectoryPass(temporaries=Temporaries(alert_seconds=self._alert_seconds), breath=self._monotonic())
        for path, status in self._named(paths):
            digest = _digest(path, status)
            if digest not in self._known:
                this_pass.ready[digest] = _arrival(path, status)
            if len(this_pass.ready) >= CHUNK_ARRIVALS:
                yield from self._hand_out(this_pass)
        yield from self._hand_out(this_pass)

    def forget(self) -> None:
        """Offer everything again at the next scan: the ledger may have lost what it was told."""
        self._known.clear()

    def _require_marker(self) -> None:
        if self.marked and not self.has_marker():
            gone = not self.root.is_dir()
            self._report = replace(self._report, root_missing=gone, marker_missing=not gone)
            raise RootMissing(f"The source folder {self.root} lacks its marker {ROOT_MARKER}: is the share mounted?")

    def _entries(self, obstacles: Obstacles, visit: Callable[[bytes], None]) -> Iterator[Entry]:
        if self._only is None:
            return walk(self.root, obstacles, skip=self._skip, visit=visit)
        return self._stat([self._only])

    def _named(self, paths: Iterable[bytes]) -> Iterator[Entry]:
        return self._stat(path for path in paths if path not in self._skip and not self._is_temporary(path))

    def _stat(self, paths: Iterable[bytes]) -> Iterator[Entry]:
        root = os.fsencode(self.root)
        for path in paths:
            try:
                status = os.lstat(join(root, path))
            except OSError:  # gone again, or for the walk to report
                continue
            if is_arrival(status.st_mode):
                yield path, status

    def _look_at(self, path: bytes, status: os.stat_result, this_pass: "_DirectoryPass", now: float) -> None:
        digest = _digest(path, status)
        if digest in self._known:
            self._known[digest] = self._scans
        elif self._only is None and self._is_temporary(path):
            this_pass.temporaries.add(max(0.0, self._wall() - status.st_mtime))
        elif self._is_complete(digest, status, now):
            this_pass.ready[digest] = _arrival(path, status)

    def _is_temporary(self, path: bytes) -> bool:
        name = path.rpartition(b"/")[2].lower()
        return name.startswith(b".") or name.endswith(self._suffixes)

    def _is_complete(self, digest: bytes, status: os.stat_result, now: float) -> bool:
        return not self._settle or self._is_old(status) or self._settling.is_settled(digest, now)

    def _is_old(self, status: os.stat_result) -> bool:
        """Whether the file lay there long before we came: then a cold start needs to remember nothing of it.

        A later newcomer always settles, whatever a file server's clock says of it. The time of the last change of
        the inode counts too: nobody can set it back, as copying programs do with the time of the content.
        """
        return self._first_scan and self._wall() - max(status.st_mtime, status.st_ctime) > self._old_seconds

    def _hand_out(self, this_pass: "_DirectoryPass") -> Chunks:
        handed_out = self._monotonic()
        this_pass.seconds += handed_out - this_pass.breath
        yield list(this_pass.ready.values())
        self._known.update(dict.fromkeys(this_pass.ready, self._scans))
        this_pass.ready = {}
        this_pass.breath = self._monotonic()

    def _conclude(self, this_pass: "_DirectoryPass") -> None:
        had = len(self._known)
        if any(number != self._scans for number in self._known.values()):
            self._known = {digest: number for digest, number in self._known.items() if number == self._scans}
        self._settling.end_walk()
        self._first_scan = False
        present = len(self._known) + len(self._settling)
        self._report = FolderReport(
            known=len(self._known),
            pending=len(self._settling),
            temporary=this_pass.temporaries.names,
            temporary_old=this_pass.temporaries.old,
            temporary_oldest_seconds=this_pass.temporaries.oldest_seconds,
            root_emptied=not present and (had > 0 or self._report.root_emptied),
            seconds=this_pass.seconds,
            **asdict(this_pass.obstacles),
        )


@dataclass(kw_only=True, slots=True)
class _DirectoryPass:
    """What one pass has met so far."""

    temporaries: Temporaries
    breath: float
    """When the consumer last gave the word back."""
    obstacles: Obstacles = field(default_factory=Obstacles)
    ready: dict[bytes, Arrival] = field(default_factory=dict)
    seconds: float = 0.0


def _digest(path: bytes, status: os.stat_result) -> bytes:
    return blake2b(b"%d %d %b" % (status.st_size, status.st_mtime_ns, path), digest_size=16).digest()


def _arrival(path: bytes, status: os.stat_result) -> Arrival:
    return Arrival(uri=uri_of(path), size=status.st_size, mtime_ns=mtime_of(status))


def _own_paths(root: Path, settings: Settings) -> frozenset[bytes]:
    """Paths below the root that are nightread's own: each analysis would change them and make them new arrivals."""
    state, root = settings.state_dir.resolve(), root.resolve()
    if state == root:
        raise UsageFault(f"{root} is nightread's state folder and cannot be a source: name another with --state.")
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
