"""Close server-side cursors of psycopg even if the connection was lost.

`ServerCursor.close` of psycopg 3 sends CLOSE first. If CLOSE fails, the Python object stays open, and its deletion
causes a ResourceWarning.
"""

from functools import cache
from typing import Any


def use_closing_cursors(connection: Any) -> None:
    """Make `close` close every named cursor of this connection of psycopg, even if CLOSE fails."""
    connection.server_cursor_factory = _closing_cursor()


@cache
def _closing_cursor() -> type:
    from psycopg import Cursor, ServerCursor  # noqa: PLC0415 - psycopg is installed only where PostgreSQL is used

    class ClosingCursor(ServerCursor[Any]):
        """A server-side cursor that is closed after `close`, even if `close` raised an error."""

        def close(self) -> None:
            """Close the cursor. Raises psycopg.OperationalError if the connection was lost."""
            try:
                super().close()
            finally:
                Cursor.close(self)

    return ClosingCursor
