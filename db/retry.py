"""Retry a database operation while the database is unavailable."""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event
from typing import TypeVar

from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError

from db import error_messages

T = TypeVar("T")
FAILED = "the database failed, trying again"


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """Which errors lead to another attempt, how long to pause before it, and when to give up."""

    errors: tuple[type[SQLAlchemyError], ...] = (OperationalError, InterfaceError)
    """The errors after which the operation is repeated; by default those of a lost connection or a locked database."""
    pause_seconds: float = 1.0
    longest_pause_seconds: float = 0.0
    """The pause doubles up to this value; if this value is smaller than the pause, the pause stays the same."""
    give_up_after_seconds: float = math.inf


@dataclass(slots=True)
class OutageLog:
    """Logs a database error when it begins or changes, and logs once when the database is available again."""

    logger: logging.Logger
    """The logger of the caller; its name shows which part of nightread waits."""
    message: str = "the database is unavailable, trying again"
    source: int | None = None
    """Id of the source whose arrivals wait; None if all sources wait."""
    _last_message: str = field(default="", init=False)

    def failed(self, error: SQLAlchemyError) -> None:
        """Log the error without the driver's text, unless the latest logged error was the same."""
        before, self._last_message = self._last_message, error_messages.describe(error)
        if self._last_message != before:
            self.logger.warning("%s: %s", self.message, self._last_message, extra=self._extra)

    def succeeded(self) -> None:
        """Log the end of an outage, if there was one."""
        if self._last_message:
            self.logger.warning("the database is available again", extra=self._extra)
        self._last_message = ""

    @property
    def _extra(self) -> dict[str, int]:
        return {} if self.source is None else {"source": self.source}


def retry_while_unavailable(
    operation: Callable[[], T],
    policy: RetryPolicy,
    outage: OutageLog,
    *,
    stop: Event | None = None,
    wait: Callable[[float], object] | None = None,
    on_failure: Callable[[], object] = lambda: None,
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """Repeat the operation until it succeeds, and return its result; `on_failure` runs after each failure.

    `wait` pauses for a number of seconds; by default it ends early when `stop` is set. Raises the operation's last
    error when `stop` is set or the policy gives up. An error that the policy does not list is raised at once.
    """
    wait = wait or (stop.wait if stop else time.sleep)
    give_up_at = clock() + policy.give_up_after_seconds
    pause = policy.pause_seconds
    while True:
        try:
            result = operation()
        except policy.errors as error:
            if clock() + pause > give_up_at:
                raise
            outage.failed(error)
            on_failure()
            if not (stop and stop.is_set()):
                wait(pause)
            if stop and stop.is_set():
                raise
        else:
            outage.succeeded()
            return result
        pause = max(pause, min(2 * pause, policy.longest_pause_seconds))
