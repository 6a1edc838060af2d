"""Commit the images of all associations of a receiver together (group commit)."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue

from sqlalchemy.exc import SQLAlchemyError

from db import error_messages
from db.engine import Database
from db.ledger import Arrival, Registered, receive
from nightread.clock import Clock, utc_now
from producer.cstore.association import AssociationLog
from producer.spool.spool import Spool

log = logging.getLogger(__name__)

GROUP_ARRIVALS = 1000
REGISTER_TIMEOUT_SECONDS = 40.0
"""`register` fails if an image is not committed after this time. This is longer than a commit waits: 20 s
for SQLite's lock, or 30 s until a broken connection to PostgreSQL counts as lost."""
_RETRY_SECONDS = 1.0


class NotRegisteredError(Exception):
    """The image may not be in the database: the sender must keep it."""


class GroupCommitter:
    """Commits in one thread for all associations: an fsync costs the same for one image as for a thousand."""

    def __init__(
        self,
        database: Database,
        spool: Spool,
        *,
        source_id: int,
        priority: int,
        on_registered: Callable[[int], None],
        clock: Clock = utc_now,
    ) -> None:
        """`database` must be opened with `durable=True`.

        `on_registered` is called with the number of new images after each commit. It must return quickly and must not
        raise.
        """
        self._database = database
        self._spool = spool
        self._source_id = source_id
        self._priority = priority
        self._on_registered = on_registered
        self._clock = clock
        self._waiting: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._unconfirmed: list[Arrival] = []  # their commit failed, or its result is unknown
        self._unreported: dict[str, AssociationLog] = {}
        self.is_available = True
        """True if the latest commit succeeded. While it is False, images should be refused."""

    def register(self, arrival: Arrival, association_log: AssociationLog) -> None:
        """Register a file of the spool, and return once it is durable. Raises NotRegisteredError within 40 s."""
        arrival = replace(arrival, sender=association_log.sender)
        waiting = _Waiting(association_log=association_log, arrival=arrival)
        self._waiting.put(waiting)
        try:
            waiting.done.result(REGISTER_TIMEOUT_SECONDS)
        except TimeoutError:
            raise NotRegisteredError from None

    def update_receipt(self, association_log: AssociationLog) -> None:
        """Write the receipt with the next commit, without waiting for it."""
        self._waiting.put(_Waiting(association_log=association_log))

    def close(self) -> None:
        """Make `run` return after it has committed the images that already wait."""
        self._waiting.put(None)

    def run(self) -> None:
        """Commit until `close`; go on after errors of the database. Raises StopWork and programming errors."""
        is_open = True
        while is_open:
            again, self._unconfirmed = self._unconfirmed[:GROUP_ARRIVALS], self._unconfirmed[GROUP_ARRIVALS:]
            group, is_open = self._gather(len(again))
            if group or again or not self.is_available:
                try:
                    self._commit(again, group)
                finally:
                    for waiting in group:
                        if not waiting.done.done():
                            waiting.done.set_exception(NotRegisteredError())

    def _gather(self, again: int) -> tuple[list["_Waiting"], bool]:
        """Return the waiting images and receipts, and whether `run` goes on: False if `close` was called.

        `again` is the number of images of a failed commit, which are committed once more. Together with these images,
        at most 1,000 are returned.
        """
        group: list[_Waiting] = []
        try:
            waiting = self._waiting.get(timeout=0 if again and self.is_available else _RETRY_SECONDS)
            while waiting is not None:
                group.append(waiting)
                if len(group) + again >= GROUP_ARRIVALS:
                    return group, True
                waiting = self._waiting.get_nowait()
        except Empty:
            return group, True
        return group, False

    def _commit(self, again: Sequence[Arrival], group: Sequence["_Waiting"]) -> None:
        present = self._spool.present(again) if again else []
        arrivals = [*present, *(waiting.arrival for waiting in group if waiting.arrival)]
        association_logs = self._unreported | {
            waiting.association_log.association: waiting.association_log for waiting in group
        }
        committing = Counter(waiting.association_log.association for waiting in group if waiting.arrival)
        try:
            done = self._write(arrivals, association_logs, committing)
        except (SQLAlchemyError, OSError) as error:
            # Registering an arrival twice does no harm, so the arrivals are committed again with the next group.
            self._unconfirmed += arrivals
            self._unreported = association_logs
            self._log_change(error)
            return
        self._unreported = {}
        self._log_change(None)
        for waiting in group:
            waiting.association_log.received += waiting.arrival is not None
            waiting.done.set_result(None)
        if done.new:
            self._on_registered(done.new)

    def _write(
        self, arrivals: list[Arrival], association_logs: dict[str, AssociationLog], committing: Counter[str]
    ) -> Registered:
        self._spool.sync_folders(arrivals)
        return receive(
            self._database,
            source_id=self._source_id,
            arrivals=arrivals,
            associations=[
                association_log.receipt(committing=committing[association])
                for association, association_log in association_logs.items()
            ],
            priority=self._priority,
            now=self._clock(),
        )

    def _log_change(self, error: Exception | None) -> None:
        """Log the first failure after a success, and the first success after a failure."""
        if error is not None and self.is_available:
            cause = error_messages.describe(error) if isinstance(error, SQLAlchemyError) else type(error).__name__
            log.warning(
                "images are refused, since they cannot be registered: %s", cause, extra={"source": self._source_id}
            )
        elif error is None and not self.is_available:
            log.info("images are accepted again, since they can be registered", extra={"source": self._source_id})
        self.is_available = error is None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Waiting:
    association_log: AssociationLog
    arrival: Arrival | None = None
    done: Future[None] = field(default_factory=Future)
