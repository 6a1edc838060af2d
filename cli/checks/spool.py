"""Check how many nights of received files fit on the disk of the spool."""

import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from cli.checks.check import Check
from cli.inputs.existing_database import open_existing_database
from db import queries
from nightread.clock import utc_now
from nightread.disk import alarm_bytes
from nightread.errors import StopWork, UsageFault
from nightread.settings import Settings
from nightread.sources import API

_KINDS = ("receiver", API)
"""Kinds of sources that fill the spool."""
_GIB = 1024**3
_MANY = 1000
_NIGHTS = 7
_DAY = timedelta(days=1)
_REMEDY = "Free disk space, lower NIGHTREAD_SPOOL_KEEP_DAYS, or move NIGHTREAD_SPOOL_DIR to a larger disk."


def check_spool(settings: Settings) -> Iterator[Check]:
    """Check the spool if a receiver or the API ever ran. Errors of the database are reported by check_database."""
    try:
        with open_existing_database(settings) as database:
            if not any(source.kind in _KINDS for source in queries.sources(database)):
                return
            now = utc_now()
            per_night = max(
                sum(queries.bytes_arrived(database, kind=kind, since=until - _DAY, until=until) for kind in _KINDS)
                for until in _days(now)
            )
    except (SQLAlchemyError, StopWork, UsageFault, ImportError):
        return
    yield _check_space(settings, per_night)


def _check_space(settings: Settings, per_night: int) -> Check:
    folder = settings.spool_folder.absolute()
    free = shutil.disk_usage(next(path for path in (folder, *folder.parents) if path.is_dir())).free
    usable = max(0, free - settings.disk_reserve_bytes)
    is_low = free < alarm_bytes(settings.disk_reserve_bytes)
    if is_low and usable >= per_night:
        found = f"{free / _GIB:.1f} GiB free"
        return Check.warn("spool", found, f"Below NIGHTREAD_DISK_RESERVE_BYTES images are refused. {_REMEDY}")
    if not per_night:
        return Check.ok("spool", f"{free / _GIB:.1f} GiB free; nothing was received in the last {_NIGHTS} days")
    nights, held = usable / per_night, _bytes_in(folder) / per_night
    found = (
        f"{free / _GIB:.1f} GiB free, enough for {_shown(nights)} nights of {per_night / _GIB:.2f} GiB "
        f"(largest of the last {_NIGHTS} days)"
    )
    if nights < 1:
        return Check.fail("spool", found, f"The next night does not fit, and its images will be refused. {_REMEDY}")
    if nights + held < settings.spool_keep_days + 1:
        return Check.warn("spool", found, f"The disk will be full before the first files are removed. {_REMEDY}")
    return Check.ok("spool", found)


def _shown(nights: float) -> str:
    return f"{nights:.1f}" if nights < _MANY else f"more than {_MANY}"


def _days(now: datetime) -> list[datetime]:
    """Return the ends of the last seven 24-hour periods; each period contains a night."""
    return [now - days * _DAY for days in range(_NIGHTS)]


def _bytes_in(folder: Path) -> int:
    return sum(_size(path) for path in folder.rglob("*.dcm")) if folder.is_dir() else 0


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:  # removed since it was listed
        return 0
