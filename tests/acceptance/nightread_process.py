"""Run `nightread` as a separate process."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from skip_reasons import SHARED_DATA
from sqlalchemy.exc import OperationalError

from db import queries
from db.engine import Database, open_database

NIGHTREAD = str(Path(sys.executable).with_name("nightread"))
POLL_SECONDS = 0.1
DATA = SHARED_DATA / "dicom"


def run(*arguments: str | Path, seconds: float = 90, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; keywords are settings (upper case), `pythonpath`, or go to subprocess."""
    environment, options = _split(options)
    return subprocess.run(
        [NIGHTREAD, *map(str, arguments)],
        env=environment,
        timeout=seconds,
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        **options,
    )


@contextmanager
def started(*arguments: str | Path, output: Path, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command that keeps running; kill it at the end of the context if it still runs."""
    environment, options = _split(options)
    with output.open("ab") as file:
        process = subprocess.Popen(
            [NIGHTREAD, *map(str, arguments)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            **options,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def database_of(state: Path) -> Iterator[Database]:
    """Open the embedded database of a state folder, which must exist."""
    database = open_database(f"sqlite:///{state / 'nightread.sqlite3'}")
    try:
        yield database
    finally:
        database.close()


def images(state: Path) -> list[dict[str, Any]]:
    """Return the row of every image, as `nightread query` returns it."""
    with database_of(state) as database:
        return list(queries.images(database))


def tally(state: Path) -> queries.Tally | None:
    """Return the counts; None while a command that was just started has not created its database."""
    if not state.is_dir():
        return None
    with database_of(state) as database:
        try:
            return queries.tally(database)
        except OperationalError:
            return None


def wait_until(condition: Callable[[], bool], *, seconds: float, what: Callable[[], str]) -> None:
    """Poll until `condition` holds; after `seconds` fail with the message that `what` returns."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what()}"
        time.sleep(POLL_SECONDS)


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Return the processes that still run. A zombie process counts as dead."""
    return [process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def _zone_where_it_is_night() -> str:
    """Return a POSIX time zone in which it is about midnight: what arrives now belongs to the last night.

    By day, `--night last` selects nothing that a test brings.
    """
    hours_east = -datetime.now(UTC).hour % 24
    return f"NIGHT{-hours_east if hours_east <= 12 else 24 - hours_east:+d}"


_NIGHT_ZONE = _zone_where_it_is_night()


def _split(options: dict[str, Any]) -> tuple[dict[str, str], dict[str, Any]]:
    """Return environment and options without the NIGHTREAD_ settings of the machine that runs the tests."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("NIGHTREAD_")}
    if "NIGHTREAD_RUNTIME" in os.environ:  # make test RUNTIME=keras
        inherited["NIGHTREAD_RUNTIME"] = os.environ["NIGHTREAD_RUNTIME"]
    if "pythonpath" in options:
        inherited["PYTHONPATH"] = str(options.pop("pythonpath"))
    inherited["TZ"] = _NIGHT_ZONE
    settings = {f"NIGHTREAD_{name}": str(value) for name, value in options.items() if name.isupper()}
    inherited["NIGHTREAD_API_PORT"] = "0"  # several tests at once would want the same port
    return inherited | settings, {name: value for name, value in options.items() if not name.isupper()}
