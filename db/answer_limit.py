"""Limit the time for which a process waits for an answer from PostgreSQL, because the server may hang.

A server that is stopped (SIGSTOP), or whose disk hangs, does not answer but keeps its connections open. TCP timeouts do
not end these connections. `statement_timeout` does not help either, because the server itself enforces it.
"""

import time
from collections.abc import Callable, Generator
from typing import Any

from sqlalchemy import Engine, event

_GRACE_SECONDS = 5.0
"""The client waits this much longer than the server.

So a server that works ends the statement first, and the connection stays open.
"""


def statement_timeout(seconds: float | None) -> str:
    """Return the option of libpq that makes the server end statements after `seconds`; an empty text for None."""
    return "" if seconds is None else f" -c statement_timeout={round(seconds * 1000)}"


def limit_answers(engine: Engine, seconds: float) -> None:
    """Make a statement on this engine fail if the server does not answer for `seconds` plus _GRACE_SECONDS.

    The error is an sqlalchemy.exc.OperationalError. The connection is closed and leaves the pool.
    """
    connect: Callable[..., Any] | None = None

    def do_connect(_dialect: Any, _record: Any, arguments: Any, options: Any) -> Any:
        nonlocal connect
        connect = connect or _connect_function(seconds + _GRACE_SECONDS)
        return connect(*arguments, **options)

    event.listen(engine, "do_connect", do_connect)


def _connect_function(seconds: float) -> Callable[..., Any]:
    import psycopg  # noqa: PLC0415 - an optional extra

    class NoAnswerError(psycopg.OperationalError):
        """The server did not answer in time."""

        sqlstate = "57014"  # query_canceled, the code of a server that enforces statement_timeout

    class LimitedConnection(psycopg.Connection[Any]):
        """A connection that waits for each answer for a limited time."""

        def wait(self, gen: Any, *arguments: Any, **options: Any) -> Any:
            """Run a generator of psycopg to its end. Raises NoAnswerError if the server does not answer in time."""
            return super().wait(self._limited(gen), *arguments, **options)

        def _limited(self, gen: Any) -> Generator[Any, Any, Any]:
            """Yield what the generator yields, until it ends; raise NoAnswerError when the time is over.

            psycopg sends the generator 0 every 0.1 s while no data arrives.
            """
            deadline = time.monotonic() + seconds
            try:
                wanted = next(gen)
                while True:
                    ready = yield wanted
                    if not ready and time.monotonic() > deadline:
                        self.pgconn.finish()
                        raise NoAnswerError("no answer")
                    wanted = gen.send(ready)
            except StopIteration as end:
                return end.value

    return LimitedConnection.connect
