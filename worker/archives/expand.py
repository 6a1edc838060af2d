"""An archive becomes arrivals: its files are unpacked into the spool, under names that we make."""

import errno
import os
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from db import ledger, queries
from db.ledger import Arrival, Claimed, Members
from db.ledger.origins import DEPTH
from db.queries import ArchiveTotals
from nightread.durable import sync_folder
from nightread.errors import ImageError, RejectImage, RetryImage
from nightread.paths import mtime_of, root_text
from nightread.reasons import Reason
from nightread.sources import ARCHIVES
from worker.archives.detect import ArchiveKind, members
from worker.archives.limits import ArchiveLimits
from worker.context import WorkerContext
from worker.fetching.files import Fetched

MOST_MEMBERS = 50_000
MOST_MEMBER_BYTES = 8 * 1024**3
MOST_BYTES = 64 * 1024**3
RATIO = 100
"""More than this times the archive's own bytes is no medical image but a bomb; scans shrink to a half or a fifth."""
FREE_BYTES = 256 * 1024**2
"""Below this no ratio is asked for: a small archive of blank images may shrink to a thousandth."""
_PARTIAL = ".partial-"
_OLD_SECONDS = 86400
_FULL = (errno.ENOSPC, errno.EDQUOT)
_LOOK_BYTES = 64 * 1024**2


Unrecorded = defaultdict[int, list[Arrival]]
"""What came out of archives of one batch, by the outermost archive: the ledger hears of it when the batch ends."""


def expand(
    context: WorkerContext,
    image: Claimed,
    file: Fetched,
    kind: ArchiveKind,
    unrecorded: Unrecorded,
    progress: Callable[[], None],
) -> Members:
    """Unpack the archive, or find it unpacked; its members are to be recorded with its outcome.

    What lies in the spool under the final name is whole and on the disk: whoever dies on the way leaves a `.partial-`
    folder at most, and the next one finds the same files or makes them. `progress` is called for each piece and file.
    Raises RejectImage as worker.archives.detect.members does, and RetryImage (no room, storage error).
    """
    root = context.settings.roots.get(ARCHIVES) or context.settings.spool_folder.absolute() / ARCHIVES
    source_id = _source_id(context, root)
    folder = root / f"{image.arrived_at:%Y%m%d}" / f"{image.instance_id}-{file.sha256[:16]}"
    totals = queries.archive_totals(context.database, image.instance_id)
    limits = _limits(totals, unrecorded[totals.outermost_id])
    try:
        if not folder.is_dir():
            _unpack(context, image, folder, root, members(file.data, kind, limits), progress)
        arrivals = tuple(_arrivals(folder, root))
    except OSError as error:
        if error.errno in _FULL:
            raise RetryImage(Reason.NO_ROOM) from None
        name = errno.errorcode.get(error.errno or 0, "?")
        raise RetryImage(Reason.IO_ERROR, f"Unpacking the archive failed with {name}.") from None
    unrecorded[totals.outermost_id].extend(arrivals)
    return Members(source_id=source_id, arrivals=arrivals)


def _source_id(context: WorkerContext, root: Path) -> int:
    known = next((source for source in queries.sources(context.database) if source.name == ARCHIVES), None)
    if known and known.kind != ARCHIVES:
        raise ImageError(Reason.INTERNAL_ERROR, f"A source of another kind is called `{ARCHIVES}`: rename that one.")
    if known and (known.root == root_text(root) or ARCHIVES in context.settings.roots):
        return known.id
    return ledger.ensure_source(
        context.database, name=ARCHIVES, kind=ARCHIVES, root=root_text(root), now=context.clock()
    )


def _limits(totals: ArchiveTotals, unrecorded: Sequence[Arrival]) -> ArchiveLimits:
    """What is left of what the outermost archive may hold. Raises RejectImage where archives nest too deep."""
    if totals.depth >= DEPTH:
        raise RejectImage(Reason.ARCHIVE_LIMITS, f"The archive lies in {totals.depth} others.")
    total = min(MOST_BYTES, max(FREE_BYTES, RATIO * totals.outermost_bytes))
    return ArchiveLimits(
        members=MOST_MEMBERS - totals.members - len(unrecorded),
        member_bytes=MOST_MEMBER_BYTES,
        total_bytes=total - totals.member_bytes - sum(arrival.size for arrival in unrecorded),
    )


def _unpack(
    context: WorkerContext,
    image: Claimed,
    folder: Path,
    root: Path,
    files: Iterator[Iterator[bytes]],
    progress: Callable[[], None],
) -> None:
    with _partial_folder(root, image) as partial:
        room = _Room(root, context.settings.disk_reserve_bytes)
        for number, pieces in enumerate(files, start=1):
            _write(partial / f"{number:06}.dcm", pieces, room, progress)
        sync_folder(partial)
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        try:
            partial.rename(folder)
        except OSError:
            if not folder.is_dir():  # else somebody whom we take for dead was as far: the files are the same
                raise
        for place in (folder.parent, root, root.parent):
            sync_folder(place)


@contextmanager
def _partial_folder(root: Path, image: Claimed) -> Iterator[Path]:
    """A folder that is gone afterwards unless it was renamed; what earlier tries left behind is removed first."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    own = f"{_PARTIAL}{image.instance_id}-"
    for left in root.glob(f"{_PARTIAL}*"):
        if left.name.startswith(own) or _is_old(left):
            shutil.rmtree(left, ignore_errors=True)
    partial = root / f"{own}{uuid4()}"
    partial.mkdir(mode=0o700)
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _is_old(partial: Path) -> bool:
    try:
        return partial.stat().st_mtime < time.time() - _OLD_SECONDS
    except FileNotFoundError:  # another worker has just completed it
        return False


class _Room:
    """Looks at the disk before the first byte and every few dozen megabytes."""

    def __init__(self, folder: Path, reserve_bytes: int) -> None:
        self._folder = folder
        self._reserve_bytes = reserve_bytes
        self._left = 0

    def take(self, count: int) -> None:
        """Raise RetryImage(NO_ROOM) where less would be left than the reserve."""
        self._left -= count
        if self._left < 0:
            self._left = _LOOK_BYTES
            status = os.statvfs(self._folder)
            if status.f_blocks and status.f_bavail * status.f_frsize < self._reserve_bytes + _LOOK_BYTES:
                raise RetryImage(Reason.NO_ROOM)


def _write(path: Path, pieces: Iterator[bytes], room: _Room, progress: Callable[[], None]) -> None:
    with open(path, "xb", opener=_opened_for_us) as file:
        for piece in pieces:
            room.take(len(piece))
            file.write(piece)
            progress()
        file.flush()
        os.fsync(file.fileno())
    progress()


def _opened_for_us(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _arrivals(folder: Path, root: Path) -> Iterator[Arrival]:
    place = folder.relative_to(root)
    for path in sorted(folder.iterdir()):
        status = path.lstat()
        yield Arrival(uri=f"{place}/{path.name}", size=status.st_size, mtime_ns=mtime_of(status))
