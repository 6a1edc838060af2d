"""The spool of received files: for how many nights there is room."""

import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from cli.audits.spool_audit import KIND
from cli.checks.check import Check
from cli.inputs.existing_database import open_existing_database
from db import queries
from nightread.clock import utc_now
from nightread.errors import StopWork, UsageFault
from nightread.settings import Settings

_GIB = 1024**3
_MANY = 1000
_NIGHTS = 7
_DAY = timedelta(days=1)
_REMEDY = "Make room, lower NIGHTREAD_SPOOL_KEEP_DAYS, or put NIGHTREAD_SPOOL_DIR on a larger disk: "


def check_spool(settings: Settings) -> Iterator[Check]:
    """Nothing where no receiver ever ran; the database's own troubles are told elsewhere."""
    try:
        with open_existing_database(settings) as database:
            if not any(source.kind == KIND for source in queries.sources(database)):
                return
            now = utc_now()
            per_night = max(
                queries.bytes_arrived(database, kind=KIND, since=until - _DAY, until=until) for until in _days(now)
            )
    except (SQLAlchemyError, StopWork, UsageFault, ImportError):
        return
    yield _judge(settings, per_night)


def _judge(settings: Settings, per_night: int) -> Check:
    folder = settings.spool_folder.absolute()
    free = shutil.disk_usage(next(path for path in (folder, *folder.parents) if path.is_dir())).free
    room = max(0, free - settings.disk_reserve_bytes)
    if not per_night:
        return Check.ok("spool", f"{free / _GIB:.1f} GiB free; nothing was received within {_NIGHTS} days")
    nights, held = room / per_night, _bytes_in(folder) / per_night
    found = (
        f"{free / _GIB:.1f} GiB free: {_shown(nights)} nights of {per_night / _GIB:.2f} GiB, the most of {_NIGHTS} days"
    )
    if nights < 1:
        return Check.fail("spool", found, f"{_REMEDY}the next night does not fit, and its images will be refused.")
    if nights + held < settings.spool_keep_days + 1:
        return Check.warn("spool", found, f"{_REMEDY}it will be full before the first files are old enough to go.")
    return Check.ok("spool", found)


def _shown(nights: float) -> str:
    return f"{nights:.1f}" if nights < _MANY else f"more than {_MANY}"


def _days(now: datetime) -> list[datetime]:
    """The ends of the latest days, each of which holds a night."""
    return [now - days * _DAY for days in range(_NIGHTS)]


def _bytes_in(folder: Path) -> int:
    return sum(_size(path) for path in folder.rglob("*.dcm")) if folder.is_dir() else 0


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:  # purged since it was listed
        return 0
