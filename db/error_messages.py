"""What is wrong with the database, in our own words: the driver's text may quote values, paths or the password."""

import sqlite3
from collections.abc import Mapping

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

_FULL = "its disk is full: make room"
_READ_ONLY = "it is read-only: its disk must be mounted for writing, and file and folder be this user's"
_LOCKED = "another program holds its lock: end that program, or wait for it"
_CANNOT_OPEN = (
    "its file cannot be opened: is its folder there, is its disk mounted for writing, may this user write in it?"
)
_NO_SERVER = "its server does not answer: is it running, and are host and port right?"
_REFUSED = "its server refuses user or password: correct NIGHTREAD_DATABASE_URL"
_NOT_THERE = "its server has no database of that name: create it, or correct NIGHTREAD_DATABASE_URL"
_CONNECTIONS = "all its connections are taken: raise max_connections, or end other clients"
_STOPPING = "its server is starting or stopping"
_SCHEMA = "its tables are not those of this release: run `nightread db upgrade`, or install the newer release here"
_DISK_ERRORS = "its disk answers with errors: look at the system's log"
_DAMAGED = "its file is damaged: bring it back from a backup"
_FORBIDDEN = "this user may not do that there: grant it the rights on the tables"

_BY_SQLITE_CODE: Mapping[int, str] = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_PERM: _READ_ONLY,
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_CANTOPEN: _CANNOT_OPEN,
    sqlite3.SQLITE_IOERR: _DISK_ERRORS,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
}
"""By primary result code (https://sqlite.org/rescode.html): the low byte of the extended one."""

_BY_SQLSTATE: Mapping[str, str] = {
    "53100": _FULL,
    "25006": _READ_ONLY,
    "55P03": _LOCKED,
    "28000": _REFUSED,
    "28P01": _REFUSED,
    "3D000": _NOT_THERE,
    "53300": _CONNECTIONS,
    "57P01": _STOPPING,
    "57P02": _STOPPING,
    "57P03": _STOPPING,
    "42P01": _SCHEMA,
    "42703": _SCHEMA,
    "42501": _FORBIDDEN,
    "58030": _DISK_ERRORS,
    "XX001": _DAMAGED,
    "XX002": _DAMAGED,
}
"""PostgreSQL, appendix A, error codes; class 08 is the connection."""

_BY_TEXT: tuple[tuple[str, str], ...] = (
    ("no such table", _SCHEMA),
    ("no such column", _SCHEMA),
    ("has no column named", _SCHEMA),
    ("password authentication failed", _REFUSED),
    ("no password supplied", _REFUSED),
    ("no pg_hba.conf entry", _REFUSED),
    ("too many clients", _CONNECTIONS),
    ("too many connections", _CONNECTIONS),
    ("remaining connection slots", _CONNECTIONS),
    ("starting up", _STOPPING),
    ("shutting down", _STOPPING),
    ("terminating connection", _STOPPING),
)
"""Where the driver gives no code: SQLite's SQLITE_ERROR, and libpq while it connects."""


def describe(error: SQLAlchemyError) -> str:
    """One sentence that says what is wrong and what to do; the error's class where nothing is known of it."""
    if isinstance(error, PoolTimeoutError):
        return _CONNECTIONS
    cause = error.orig if isinstance(error, DBAPIError) else None
    if cause is None:
        return f"it failed ({type(error).__name__})"
    return _by_code(cause) or _by_text(cause) or f"it failed ({type(cause).__name__})"


def _by_code(cause: BaseException) -> str | None:
    if isinstance(cause, sqlite3.Error):
        return _BY_SQLITE_CODE.get((getattr(cause, "sqlite_errorcode", None) or 0) & 0xFF)
    state = getattr(cause, "sqlstate", None) or ""
    return _BY_SQLSTATE.get(state) or (_NO_SERVER if state.startswith("08") else None)


def _by_text(cause: BaseException) -> str | None:
    """Read and never shown."""
    text = str(cause)
    known = next((sentence for words, sentence in _BY_TEXT if words in text), None)
    if known or isinstance(cause, sqlite3.Error):
        return known
    if '" does not exist' in text and "database" in text:
        return _NOT_THERE
    is_connection = type(cause).__name__ == "OperationalError" and not getattr(cause, "sqlstate", None)
    return _NO_SERVER if is_connection else None
