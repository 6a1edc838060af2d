"""Coordinate the transactions that record outcomes on PostgreSQL; SQLite has only one writer.

A recording transaction takes two advisory locks. It takes the first lock at its start and shares it with other
recording transactions. It takes the second lock exclusively, after it has written the rows of its own images; then it
writes what depends on images of other batches: versions, copies, withdrawals and occurrences. So two processes write
their rows at the same time, and wait for each other only at the end, for a few statements per batch.
"""

from sqlalchemy import Connection, TextClause, text

_RECORDING = 0x6E72726F  # "nrro"
_OTHER_IMAGES = 0x6E696768  # "nigh"; before schema 0021 it was held during the whole transaction


def begin_recording(connection: Connection) -> None:
    """Begin a transaction that records outcomes; wait while another transaction has stopped recording.

    `stop_recording` in other transactions then waits until this transaction ends.
    """
    _execute(connection, _SHARE, _RECORDING)


def lock_other_images(connection: Connection) -> None:
    """Let one transaction at a time read or change rows of images that are not in its batch.

    Without this lock, two transactions that do not see each other's rows could both mark their version of an image as
    current. The statements after this call see everything that earlier holders of the lock have committed.
    """
    _execute(connection, _LOCK, _OTHER_IMAGES)


def stop_recording(connection: Connection) -> None:
    """Wait until no transaction records outcomes; none can begin to record until this transaction ends."""
    _execute(connection, _LOCK, _RECORDING)
    _execute(connection, _LOCK, _OTHER_IMAGES)


def _execute(connection: Connection, statement: TextClause, key: int) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(statement, {"key": key})


_LOCK = text("SELECT pg_advisory_xact_lock(:key)")
_SHARE = text("SELECT pg_advisory_xact_lock_shared(:key)")
