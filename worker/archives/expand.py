"""Unpack an archive into the spool, where each of its files becomes an arrival with a generated name."""

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
from nightread.content_digest import hex_digits
from nightread.disk import alarm_bytes
from nightread.durable import sync_folder
from nightread.errors import ImageError, RejectImage, RetryImage
from nightread.paths import mtime_of, readable, root_text
from nightread.reasons import Reason
from nightread.removal import remove_folder
from nightread.sources import ARCHIVES, OMITTED_MEMBER, PARTIAL_PREFIX
from worker.archives.detect import ArchiveKind, members
from worker.archives.limits import ArchiveLimits
from worker.archives.member import Member
from worker.context import WorkerContext
from worker.fetching.files import Fetched

MAX_MEMBERS = 50_000
MAX_MEMBER_BYTES = 8 * 1024**3
MAX_TOTAL_BYTES = 64 * 1024**3
MAX_RATIO = 100
"""Maximum number of unpacked bytes per byte of the archive, against decompression bombs. Images reach 2 to 5."""
MIN_TOTAL_LIMIT_BYTES = 256 * 1024**2
"""Every archive may unpack to 256 MiB, whatever its ratio: blank images may unpack to a thousand times their size."""
_NAME_BYTES = 500
_STALE_SECONDS = 86400
_DISK_FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT)
_CHECK_EVERY_BYTES = 64 * 1024**2


Unrecorded = defaultdict[int, list[Arrival]]
"""Arrivals unpacked during this batch and not recorded yet, by the instance id of their outermost archive."""


def expand(
    context: WorkerContext,
    image: Claimed,
    file: Fetched,
    kind: ArchiveKind,
    unrecorded: Unrecorded,
    progress: Callable[[], None],
) -> Members:
    """Unpack the archive unless this was done before. Return its members, which are recorded with its outcome.

    The folder gets its final name when it is complete and synced to the disk. If the process dies before, only a
    `.partial-` folder is left, and the next attempt unpacks again. `progress` is called for each piece and each file.
    Raises RejectImage like worker.archives.detect.members, and RetryImage for a full disk or a storage error.
    """
    root = context.settings.roots.get(ARCHIVES) or context.settings.spool_folder.absolute() / ARCHIVES
    source_id = _source_id(context, root)
    folder = root / f"{image.arrived_at:%Y%m%d}" / f"{image.instance_id}-{hex_digits(file.content)[:16]}"
    totals = queries.archive_totals(context.database, image.instance_id)
    limits = _limits(totals, unrecorded[totals.outermost_id])
    try:
        files = members(file.data, kind, limits)
        if folder.is_dir():
            names = [member.skip(progress) for member in files]
        else:
            names = _unpack(context, image, folder, root, files, progress)
        arrivals = tuple(_arrivals(folder, root, names))
    except OSError as error:
        if error.errno in _DISK_FULL_ERRORS:
            raise RetryImage(Reason.NO_ROOM) from None
        name = errno.errorcode.get(error.errno or 0, "?")
        raise RetryImage(Reason.IO_ERROR, f"The archive was not unpacked: the spool failed with {name}.") from None
    unrecorded[totals.outermost_id].extend(arrivals)
    return Members(source_id=source_id, arrivals=arrivals)


def _source_id(context: WorkerContext, root: Path) -> int:
    known = next((source for source in queries.sources(context.database) if source.name == ARCHIVES), None)
    if known and known.kind != ARCHIVES:
        raise ImageError(
            Reason.INTERNAL_ERROR, f"The name `{ARCHIVES}` is reserved for archives: rename the source of that name."
        )
    if known and (known.root == root_text(root) or ARCHIVES in context.settings.roots):
        return known.id
    return ledger.ensure_source(
        context.database, name=ARCHIVES, kind=ARCHIVES, root=root_text(root), now=context.clock()
    )


def _limits(totals: ArchiveTotals, unrecorded: Sequence[Arrival]) -> ArchiveLimits:
    """Return what remains of the limits of the outermost archive. Raises RejectImage if archives nest too deeply."""
    if totals.depth >= DEPTH:
        limit = f"only {DEPTH} levels are unpacked"
        raise RejectImage(Reason.ARCHIVE_LIMITS, f"The archive is nested in {totals.depth} other archives: {limit}.")
    total = min(MAX_TOTAL_BYTES, max(MIN_TOTAL_LIMIT_BYTES, MAX_RATIO * totals.outermost_bytes))
    return ArchiveLimits(
        members=MAX_MEMBERS - totals.members - len(unrecorded),
        member_bytes=MAX_MEMBER_BYTES,
        total_bytes=total - totals.member_bytes - sum(arrival.size for arrival in unrecorded),
    )


def _unpack(
    context: WorkerContext,
    image: Claimed,
    folder: Path,
    root: Path,
    files: Iterator[Member],
    progress: Callable[[], None],
) -> list[str]:
    """Write the files under generated names, and return their names in the archive."""
    names = []
    with _partial_folder(root, image) as partial:
        free_space = _FreeSpaceCheck(root, context.settings.disk_reserve_bytes)
        most = context.settings.max_file_bytes
        for number, member in enumerate(files, start=1):
            _write(partial / f"{number:06}.dcm", member.pieces, free_space, progress, max_bytes=most)
            names.append(member.name)
        sync_folder(partial)
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        try:
            partial.rename(folder)
        except OSError:
            if not folder.is_dir():  # it exists if another process, which was thought dead, has unpacked the archive
                raise
        for place in (folder.parent, root, root.parent):
            sync_folder(place)
    return names


@contextmanager
def _partial_folder(root: Path, image: Claimed) -> Iterator[Path]:
    """Create a folder that is removed afterwards unless it was renamed. Remove folders of failed attempts first."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    own = f"{PARTIAL_PREFIX}{image.instance_id}-"
    for left in root.glob(f"{PARTIAL_PREFIX}*"):
        if left.name.startswith(own) or _is_stale(left):
            remove_folder(left, root)  # a process that was thought dead may be about to rename it
    partial = root / f"{own}{uuid4()}"
    partial.mkdir(mode=0o700)
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _is_stale(partial: Path) -> bool:
    try:
        return partial.stat().st_mtime < time.time() - _STALE_SECONDS
    except FileNotFoundError:  # another worker has just renamed it
        return False


class _FreeSpaceCheck:
    """Checks the free disk space before the first byte and then every 64 MiB."""

    def __init__(self, folder: Path, reserve_bytes: int) -> None:
        self._folder = folder
        self._wanted_bytes = max(alarm_bytes(reserve_bytes), reserve_bytes + _CHECK_EVERY_BYTES)
        self._left = 0

    def reserve(self, count: int) -> None:
        """Count the bytes to write. Raises RetryImage(NO_ROOM) if the disk is nearly full.

        Archives wait before the disk reserve is reached, so that receivers can still accept images.
        """
        self._left -= count
        if self._left < 0:
            self._left = _CHECK_EVERY_BYTES
            status = os.statvfs(self._folder)
            if status.f_blocks and status.f_bavail * status.f_frsize < self._wanted_bytes:
                raise RetryImage(Reason.NO_ROOM)


def _write(
    path: Path,
    pieces: Iterator[bytes],
    free_space: _FreeSpaceCheck,
    progress: Callable[[], None],
    *,
    max_bytes: int,
) -> None:
    """Write one file. A file above `max_bytes` is replaced by a sparse file of its size.

    The sparse file begins with OMITTED_MEMBER.
    """
    size = 0
    with open(path, "xb", opener=_open_private) as file:
        for piece in pieces:
            size += len(piece)
            if size <= max_bytes:
                free_space.reserve(len(piece))
                file.write(piece)
            progress()
        if size > max_bytes:
            file.truncate(0)
            file.seek(0)
            file.write(OMITTED_MEMBER)
            file.flush()
            file.truncate(max(size, len(OMITTED_MEMBER)))
        file.flush()
        os.fsync(file.fileno())
    progress()


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _arrivals(folder: Path, root: Path, names: Sequence[str]) -> Iterator[Arrival]:
    place = folder.relative_to(root)
    for path in sorted(folder.iterdir()):
        status = path.lstat()
        uri = f"{place}/{path.name}"
        name = names[int(path.stem) - 1]  # not by position: the purge may have removed some of the files
        yield Arrival(uri=uri, size=status.st_size, mtime_ns=mtime_of(status), member_name=_readable_name(name))


def _readable_name(name: str) -> str:
    """Return the name as text for people. Only the end of a very long name is kept, because it identifies the file."""
    return readable(name.encode("utf-8", "surrogateescape")[-_NAME_BYTES:])
