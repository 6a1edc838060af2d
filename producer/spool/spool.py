"""Store received files in the spool, and list and remove them."""

import logging
import os
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
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
from producer.spool.quota import FileCharge, SenderAccount

log = logging.getLogger(__name__)

FOLDER_FILES = 1000
_PARTIAL = ".partial"
_SUFFIX = ".dcm"
_LOCK = ".lock"
_SENDER_END = "-"
_MARK_LENGTH = 64


def spool_root(settings: Settings, source: str) -> Path:
    """Return the folder of a source, named by the safe characters of the source's name and a digest of this name."""
    readable = re.sub(r"[^A-Za-z0-9-]+", "-", source)[:40].strip("-")
    return settings.spool_folder.absolute() / f"{readable}-{blake2b(source.encode(), digest_size=4).hexdigest()}"


class Spool:
    """The spool of one source: `<root>/<day>/<random>/<sender>-<uuid>.dcm`.

    The names reveal nothing about the contents; `sender` is a digest of the address that a file came from
    (producer.spool.quota.sender_of).
    """

    def __init__(self, root: Path, *, clock: Clock = utc_now) -> None:
        self.root = root
        self._clock = clock
        self._lock = threading.Lock()
        self._folder = ""
        self._day = ""
        self._files = 0

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the spool for this process.

        Without the lock, the files of a running receiver would look like those that a dead receiver left.
        Raises UsageFault if another process holds the lock.
        """
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in self.root.parents[:2]:  # the spool and the folder of all spools may be new
            sync_folder(folder)
        try:
            lock = lock_file(self.root / _LOCK)
        except FileLockedError:
            raise UsageFault(f"Another receiver of this source runs and uses {self.root}. Stop it first.") from None
        with lock:
            yield

    def begin(self, account: SenderAccount | None = None) -> "Incoming":
        """Create an empty file, which counts for the quota of its sender.

        Raises OSError, and OverQuotaError if the quota is used up.
        """
        charge = account.begin() if account else None
        try:
            name = f"{account.sender}{_SENDER_END}{uuid4().hex}" if account else uuid4().hex
            return Incoming(root=str(self.root), path=f"{self._next_folder()}/{name}{_SUFFIX}", charge=charge)
        except OSError:
            if charge is not None:
                charge.release()
            raise

    def sync_folders(self, arrivals: Iterable[Arrival]) -> None:
        """Write the names of these files to the disk, with one fsync per folder. Raises OSError."""
        for folder in {arrival.uri.rpartition("/")[0] for arrival in arrivals}:
            sync_folder(self.root / folder)

    def present(self, arrivals: Sequence[Arrival]) -> list[Arrival]:
        """Return the arrivals whose files still exist. Logs how many files are missing."""
        found = [arrival for arrival in arrivals if os.path.lexists(f"{self.root}/{arrival.uri}")]
        if len(found) < len(arrivals):
            log.warning(
                "files were removed from the spool before they were registered",
                extra={"files": len(arrivals) - len(found)},
            )
        return found

    def files(self, *, before: datetime | None = None) -> Iterator[list[str]]:
        """Yield the paths of complete files below the root in lists of up to 1,000.

        With `before`, only files of days that had ended at that time are listed.
        """
        for folder in self._folders(before):
            paths = [f"{folder}/{name}" for name in sorted(os.listdir(self.root / folder)) if name.endswith(_SUFFIX)]  # noqa: PTH208 - names, not a thousand Paths
            for start in range(0, len(paths), FOLDER_FILES):  # one archive may unpack into 50,000 files
                yield paths[start : start + FOLDER_FILES]

    def sizes(self) -> Iterator[tuple[str, int]]:
        """Yield the sender and the size of each complete file; the sender is empty for files of older releases."""
        for folder in self._folders(None):
            with os.scandir(self.root / folder) as entries:
                for entry in entries:
                    if entry.name.endswith(_SUFFIX):
                        with suppress(FileNotFoundError):  # removed since it was listed
                            sender, found, _ = entry.name.partition(_SENDER_END)
                            yield sender if found else "", entry.stat(follow_symlinks=False).st_size

    def arrival(self, path: str) -> Arrival | None:
        """Return the arrival of the file at this path below the root, or None if it was removed meanwhile."""
        try:
            status = os.lstat(f"{self.root}/{path}")
        except FileNotFoundError:
            return None
        return Arrival(uri=path, size=status.st_size, mtime_ns=mtime_of(status))

    @staticmethod
    def sender_mark(path: str) -> str:
        """Return the mark of a file's sender: the digest of its address from the file's name, else the name itself.

        The names of files of older releases have no digest, so each such file has a mark of its own.
        """
        name = path.rpartition("/")[2].removesuffix(_SUFFIX)
        return name.partition(_SENDER_END)[0][:_MARK_LENGTH]

    def remove(self, paths: Iterable[str]) -> int:
        """Remove these files. Returns the number of files that existed."""
        removed = 0
        for path in paths:
            with suppress(FileNotFoundError):
                (self.root / path).unlink()
                removed += 1
        return removed

    def remove_partial(self) -> int:
        """Remove the incomplete files that a dead receiver left. Call this before `begin`. Returns their number."""
        partial = list(self.root.glob(f"*/*/*{_PARTIAL}"))
        for path in partial:
            path.unlink()
        return len(partial)

    def remove_empty(self, *, before: datetime) -> None:
        """Remove empty folders of days that ended `before`."""
        for folder in list(self._folders(before)):
            with suppress(OSError):  # not empty
                (self.root / folder).rmdir()
                (self.root / folder).parent.rmdir()

    def _next_folder(self) -> str:
        """Return the folder of the next file; a new folder is made every 1,000 files and every day."""
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
        end = f"{before:%Y%m%d}" if before else ":"  # ":" sorts after all digits
        for day in sorted(path.name for path in self.root.iterdir()):
            if day.isdecimal() and day < end:
                yield from sorted(f"{day}/{path.name}" for path in (self.root / day).iterdir())


@dataclass(kw_only=True, slots=True)
class Incoming:
    """A file that is being written, under a temporary name until it is complete."""

    root: str
    path: str
    """Path of the complete file below the root."""
    charge: FileCharge | None = None
    """The bytes for which the file counts in the quota of its sender; None if it counts for no quota."""
    _descriptor: int = field(init=False)

    def __post_init__(self) -> None:
        self._descriptor = os.open(self._partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def write(self, data: bytes) -> None:
        """Append bytes to the file. Raises OSError; OverQuotaError if the sender holds too much."""
        if self.charge is not None:
            self.charge.grow(len(data))
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def complete(self) -> Arrival:
        """Write the bytes to the disk and rename the file. Spool.sync_folders makes the new name durable.

        Raises OSError; the caller must then call `discard`.
        """
        os.fsync(self._descriptor)
        status = os.fstat(self._descriptor)
        os.rename(self._partial, f"{self.root}/{self.path}")  # noqa: PTH104 - no Path is needed per image
        os.close(self._descriptor)
        self._descriptor = -1
        if self.charge is not None:
            self.charge.complete()
        return Arrival(uri=self.path, size=status.st_size, mtime_ns=mtime_of(status))

    def discard(self) -> None:
        """Remove the file unless it is complete."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            Path(self._partial).unlink()
            if self.charge is not None:
                self.charge.release()

    @property
    def _partial(self) -> str:
        return f"{self.root}/{self.path}{_PARTIAL}"
