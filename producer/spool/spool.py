"""The spool: received files, from their last byte until some days after their outcome."""

import os
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from uuid import uuid4

from db.ledger import Arrival
from nightread.clock import Clock, utc_now
from nightread.durable import sync_folder
from nightread.errors import UsageFault
from nightread.file_lock import FileLockedError, lock_file
from nightread.paths import mtime_of
from nightread.settings import Settings

FOLDER_FILES = 1000
_PARTIAL = ".partial"
_SUFFIX = ".dcm"
_LOCK = ".lock"


def spool_root(settings: Settings, source: str) -> Path:
    """The folder of this source's files: its name as far as a folder can have it, made unique by a digest."""
    readable = re.sub(r"[^A-Za-z0-9-]+", "-", source)[:40].strip("-")
    return settings.spool_folder.absolute() / f"{readable}-{blake2b(source.encode(), digest_size=4).hexdigest()}"


class Spool:
    """One source's folder: `<root>/<day>/<thousand>/<uuid>.dcm`. Names say nothing of what is in the files."""

    def __init__(self, root: Path, *, clock: Clock = utc_now) -> None:
        self.root = root
        self._clock = clock
        self._lock = threading.Lock()
        self._folder = ""
        self._day = ""
        self._files = 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the spool for this process: what another receiver is writing looks like what a dead one left.

        Raises UsageFault where another holds it.
        """
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in self.root.parents[:2]:  # where it, and the folder of all spools, may just have been made
            sync_folder(folder)
        try:
            lock = lock_file(self.root / _LOCK)
        except FileLockedError:
            raise UsageFault(f"Another receiver of this source runs and holds {self.root}: stop it first.") from None
        with lock:
            yield

    def begin(self) -> "Incoming":
        """A new file, still without a byte. Raises OSError."""
        return Incoming(root=str(self.root), place=f"{self._room()}/{uuid4().hex}{_SUFFIX}")

    def sync_folders(self, arrivals: Iterable[Arrival]) -> None:
        """Make the names of these files outlive a loss of power: one fsync per folder, however many the files."""
        for folder in {arrival.uri.rpartition("/")[0] for arrival in arrivals}:
            sync_folder(self.root / folder)

    def files(self, *, before: datetime | None = None) -> Iterator[list[str]]:
        """Paths of complete files below the root, at most a thousand at once; only of days that ended `before`."""
        for folder in self._folders(before):
            paths = [f"{folder}/{name}" for name in sorted(os.listdir(self.root / folder)) if name.endswith(_SUFFIX)]  # noqa: PTH208 - names, not a thousand Paths
            for start in range(0, len(paths), FOLDER_FILES):  # what came out of one archive may be fifty thousand
                yield paths[start : start + FOLDER_FILES]

    def arrival(self, path: str) -> Arrival | None:
        """The file at this path below the root; None where it was removed meanwhile."""
        try:
            status = os.lstat(f"{self.root}/{path}")
        except FileNotFoundError:
            return None
        return Arrival(uri=path, size=status.st_size, mtime_ns=mtime_of(status))

    def remove(self, paths: Iterable[str]) -> int:
        """Remove these files; returns how many of them there were."""
        removed = 0
        for path in paths:
            with suppress(FileNotFoundError):
                (self.root / path).unlink()
                removed += 1
        return removed

    def remove_partial(self) -> int:
        """Remove what was being written when an earlier receiver died; to be called before the first `begin`."""
        partial = list(self.root.glob(f"*/*/*{_PARTIAL}"))
        for path in partial:
            path.unlink()
        return len(partial)

    def remove_empty(self, *, before: datetime) -> None:
        """Remove folders of days that ended `before` and hold nothing any more."""
        for folder in list(self._folders(before)):
            with suppress(OSError):  # not empty
                (self.root / folder).rmdir()
                (self.root / folder).parent.rmdir()

    def _room(self) -> str:
        """The folder of the next file; a new one for each thousand and each day."""
        day = f"{self._clock():%Y%m%d}"
        with self._lock:
            if self._files == FOLDER_FILES or day != self._day:
                folder = f"{day}/{uuid4().hex[:8]}"
                (self.root / folder).mkdir(mode=0o700, parents=True)
                sync_folder(self.root / day)
                sync_folder(self.root)
                self._folder, self._day, self._files = folder, day, 0
            self._files += 1
            return self._folder

    def _folders(self, before: datetime | None) -> Iterator[str]:
        end = f"{before:%Y%m%d}" if before else ":"  # which sorts behind all digits
        for day in sorted(path.name for path in self.root.iterdir()):
            if day.isdecimal() and day < end:
                yield from sorted(f"{day}/{path.name}" for path in (self.root / day).iterdir())


@dataclass(kw_only=True, slots=True)
class Incoming:
    """One file that is being written, under a name that says so."""

    root: str
    place: str
    """Its path below the root once it is complete."""
    _descriptor: int = field(init=False)

    def __post_init__(self) -> None:
        self._descriptor = os.open(self._partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def write(self, data: bytes) -> None:
        """Append. Raises OSError."""
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def complete(self) -> Arrival:
        """Bring the bytes to the disk and give the file its name, which itself needs Spool.sync_folders.

        Raises OSError; then `discard` it.
        """
        os.fsync(self._descriptor)
        status = os.fstat(self._descriptor)
        os.rename(self._partial, f"{self.root}/{self.place}")  # noqa: PTH104 - no Path is needed per image
        os.close(self._descriptor)
        self._descriptor = -1
        return Arrival(uri=self.place, size=status.st_size, mtime_ns=mtime_of(status))

    def discard(self) -> None:
        """Leave nothing behind of a file that was not completed."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            Path(self._partial).unlink()

    @property
    def _partial(self) -> str:
        return f"{self.root}/{self.place}{_PARTIAL}"
