"""Explain database errors without the driver's text, which may quote values, paths or the password.

In each message, `its` means the database: callers put the message after words such as "The database failed:".
"""

import sqlite3
from collections.abc import Mapping

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

_FULL = "its disk is full: free some space on it"
_READ_ONLY = "it is read-only: check that its disk is mounted for writing, and that this user may write to its file"
_LOCKED = "another program holds its lock: wait for that program, or end it"
_CANNOT_OPEN = (
    "its file cannot be opened: check that its folder exists, is mounted for writing, and gives this user write access"
)
_UNREACHABLE = "its server cannot be reached: check that it runs, and that NIGHTREAD_DATABASE_URL has its host and port"
_REFUSED = "its server refuses the user name or the password: correct NIGHTREAD_DATABASE_URL"
_NO_SUCH_DATABASE = "its server has no database with this name: create it, or correct NIGHTREAD_DATABASE_URL"
_TOO_MANY_CONNECTIONS = "all its connections are in use: raise max_connections, or end other clients"
_STOPPING = "its server is starting or stopping: wait until it runs, or start it"
_NO_ANSWER = "its server did not answer in time: check whether it is stopped, and check its load, disk and locks"
_OTHER_SCHEMA = (
    "its tables do not match this release: run `nightread db upgrade`, or install the newer release on this host"
)
_DISK_ERRORS = "its disk reports errors: check the system log"
_DAMAGED = "its file is damaged: restore it from a backup"
_NO_PERMISSION = "its user lacks permission for this operation: grant the user the rights on the tables"

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
"""Messages by primary result code, the low byte of the extended result code (https://sqlite.org/rescode.html)."""

_BY_SQLSTATE: Mapping[str, str] = {
    "53100": _FULL,
    "25006": _READ_ONLY,
    "55P03": _LOCKED,
    "28000": _REFUSED,
    "28P01": _REFUSED,
    "3D000": _NO_SUCH_DATABASE,
    "53300": _TOO_MANY_CONNECTIONS,
    "57014": _NO_ANSWER,
    "57P01": _STOPPING,
    "57P02": _STOPPING,
    "57P03": _STOPPING,
    "42P01": _OTHER_SCHEMA,
    "42703": _OTHER_SCHEMA,
    "42501": _NO_PERMISSION,
    "58030": _DISK_ERRORS,
    "XX001": _DAMAGED,
    "XX002": _DAMAGED,
}
"""Messages by SQLSTATE (PostgreSQL manual, appendix A); class 08 means a connection error."""

_BY_TEXT: tuple[tuple[str, str], ...] = (
    ("no such table", _OTHER_SCHEMA),
    ("no such column", _OTHER_SCHEMA),
    ("has no column named", _OTHER_SCHEMA),
    ("password authentication failed", _REFUSED),
    ("no password supplied", _REFUSED),
    ("no pg_hba.conf entry", _REFUSED),
    ("too many clients", _TOO_MANY_CONNECTIONS),
    ("too many connections", _TOO_MANY_CONNECTIONS),
    ("remaining connection slots", _TOO_MANY_CONNECTIONS),
    ("starting up", _STOPPING),
    ("shutting down", _STOPPING),
    ("terminating connection", _STOPPING),
)
"""Messages by a part of the driver's text, for errors without a specific code: SQLITE_ERROR, and failed connections."""


def describe(error: SQLAlchemyError) -> str:
    """Return what is wrong and what to do, in one sentence.

    For an unknown error, the sentence has the name of its class.
    """
    if isinstance(error, PoolTimeoutError):
        return _TOO_MANY_CONNECTIONS
    cause = error.orig if isinstance(error, DBAPIError) else None
    if cause is None:
        return f"it raised an unexpected error ({type(error).__name__})"
    return _by_code(cause) or _by_text(cause) or f"it raised an unexpected error ({type(cause).__name__})"


def _by_code(cause: BaseException) -> str | None:
    if isinstance(cause, sqlite3.Error):
        return _BY_SQLITE_CODE.get((getattr(cause, "sqlite_errorcode", None) or 0) & 0xFF)
    state = getattr(cause, "sqlstate", None) or ""
    return _BY_SQLSTATE.get(state) or (_UNREACHABLE if state.startswith("08") else None)


def _by_text(cause: BaseException) -> str | None:
    """Find the message by the driver's text; the text itself is never shown."""
    text = str(cause)
    known = next((message for part, message in _BY_TEXT if part in text), None)
    if known or isinstance(cause, sqlite3.Error):
        return known
    if '" does not exist' in text and "database" in text:
        return _NO_SUCH_DATABASE
    of_connection = type(cause).__name__ in ("OperationalError", "ConnectionTimeout")
    is_connection = of_connection and not getattr(cause, "sqlstate", None)
    return _UNREACHABLE if is_connection else None
