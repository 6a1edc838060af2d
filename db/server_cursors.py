"""Close cursors on the server of PostgreSQL also where its connection was lost.

`ServerCursor.close` of psycopg 3 sends CLOSE first. If that fails, the object stays open, and warns when it is deleted.
"""

from functools import cache
from typing import Any


def use_closing_cursors(connection: Any) -> None:
    """Let every named cursor of this connection of psycopg be closed by `close`, whether or not CLOSE succeeds."""
    connection.server_cursor_factory = _closing_cursor()


@cache
def _closing_cursor() -> type:
    from psycopg import Cursor, ServerCursor  # noqa: PLC0415 - psycopg is installed only where PostgreSQL is used

    class ClosingCursor(ServerCursor[Any]):
        """A cursor that is closed after `close`, also if that raised an error."""

        def close(self) -> None:
            """Close the cursor. Raises psycopg.OperationalError if the connection was lost."""
            try:
                super().close()
            finally:
                Cursor.close(self)

    return ClosingCursor
