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
    """Which errors are worth another attempt, how long to pause before it, and when to give up."""

    errors: tuple[type[SQLAlchemyError], ...] = (OperationalError, InterfaceError)
    """By default those of a lost connection or a held lock, and none that the statement itself causes."""
    pause_seconds: float = 1.0
    longest_pause_seconds: float = 0.0
    """The pause doubles up to this; it stays the same where this is less."""
    give_up_after_seconds: float = math.inf


@dataclass(slots=True)
class OutageLog:
    """Logs a database error when it begins or changes, and once more when the database answers again."""

    logger: logging.Logger
    """The caller's: its name says which part of nightread waits."""
    message: str = "the database does not answer, trying again"
    source: int | None = None
    """Id of the source whose arrivals wait, where it is one."""
    _trouble: str = field(default="", init=False)

    def failed(self, error: SQLAlchemyError) -> None:
        """Log the error in our own words, unless it is the one that was logged last."""
        before, self._trouble = self._trouble, error_messages.describe(error)
        if self._trouble != before:
            self.logger.warning("%s: %s", self.message, self._trouble, extra=self._extra)

    def answered(self) -> None:
        """Log the end of an outage, if there was one."""
        if self._trouble:
            self.logger.info("the database answers again", extra=self._extra)
        self._trouble = ""

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
    """Return what the operation returns, after as many attempts as that takes; `on_failure` runs after each failure.

    `wait` pauses for a number of seconds; by default it ends early when `stop` is set. Raises the operation's last
    error once `stop` is set or the policy gives up, and at once an error that the policy does not name.
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
            outage.answered()
            return result
        pause = max(pause, min(2 * pause, policy.longest_pause_seconds))
