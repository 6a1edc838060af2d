"""Group commit: what the associations of a receiver wait for, all of it at once."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
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
PATIENCE_SECONDS = 40.0
"""Longer than SQLite's lock or a cut connection to PostgreSQL lets a commit wait."""
_AGAIN_SECONDS = 1.0


class NotRegisteredError(Exception):
    """The image is not known to be in the ledger: the sender must keep it."""


class GroupCommitter:
    """One thread that commits for many: an fsync costs the same for one image as for all that wait."""

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
        """`database` must be durable; `on_registered` hears of each commit, must not raise and not take long."""
        self._database = database
        self._spool = spool
        self._source_id = source_id
        self._priority = priority
        self._on_registered = on_registered
        self._clock = clock
        self._waiting: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._unsure: list[Arrival] = []  # whose commit failed, or perhaps did not: registering twice does no harm
        self._unreported: dict[str, AssociationLog] = {}
        self.answers = True
        """Whether the latest commit worked. While not, nothing should be received: it could not be acknowledged."""

    def register(self, arrival: Arrival, association_log: AssociationLog) -> None:
        """Return once a file of the spool is in the ledger, whatever happens then. Raises NotRegisteredError."""
        waiting = _Waiting(association_log=association_log, arrival=arrival)
        self._waiting.put(waiting)
        try:
            waiting.done.result(PATIENCE_SECONDS)
        except TimeoutError:
            raise NotRegisteredError from None

    def note(self, association_log: AssociationLog) -> None:
        """Bring the receipt up to date, when it can be."""
        self._waiting.put(_Waiting(association_log=association_log))

    def close(self) -> None:
        """Make `run` end, after what waits by now."""
        self._waiting.put(None)

    def run(self) -> None:
        """Commit until `close`. A database that does not answer ends nothing. Raises StopWork, and our own errors."""
        going = True
        while going:
            group, going = self._gather()
            if group or not self.answers:
                try:
                    self._commit(group)
                finally:
                    for waiting in group:
                        if not waiting.done.done():
                            waiting.done.set_exception(NotRegisteredError())

    def _gather(self) -> tuple[list["_Waiting"], bool]:
        """What waits by now; and whether more is to come."""
        group: list[_Waiting] = []
        try:
            waiting = self._waiting.get(timeout=_AGAIN_SECONDS)
            while waiting is not None:
                group.append(waiting)
                if len(group) == GROUP_ARRIVALS:
                    return group, True
                waiting = self._waiting.get_nowait()
        except Empty:
            return group, True
        return group, False

    def _commit(self, group: Sequence["_Waiting"]) -> None:
        arrivals = [*self._unsure, *(waiting.arrival for waiting in group if waiting.arrival)]
        association_logs = self._unreported | {
            waiting.association_log.association: waiting.association_log for waiting in group
        }
        more = Counter(waiting.association_log.association for waiting in group if waiting.arrival)
        try:
            done = self._write(arrivals, association_logs, more)
        except (SQLAlchemyError, OSError) as error:
            self._unsure, self._unreported = arrivals, association_logs
            self._say(error)
            return
        self._unsure, self._unreported = [], {}
        self._say(None)
        for waiting in group:
            waiting.association_log.received += waiting.arrival is not None
            waiting.done.set_result(None)
        if done.new:
            self._on_registered(done.new)

    def _write(
        self, arrivals: list[Arrival], association_logs: dict[str, AssociationLog], more: Counter[str]
    ) -> Registered:
        self._spool.sync_folders(arrivals)
        return receive(
            self._database,
            source_id=self._source_id,
            arrivals=arrivals,
            associations=[
                association_log.receipt(more=more[association])
                for association, association_log in association_logs.items()
            ],
            priority=self._priority,
            now=self._clock(),
        )

    def _say(self, error: Exception | None) -> None:
        """Log when it begins to fail, and when it works again."""
        if error is not None and self.answers:
            what = error_messages.describe(error) if isinstance(error, SQLAlchemyError) else type(error).__name__
            log.warning("nothing can be registered, images are refused: %s", what, extra={"source": self._source_id})
        elif error is None and not self.answers:
            log.info("images can be registered again", extra={"source": self._source_id})
        self.answers = error is None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Waiting:
    association_log: AssociationLog
    arrival: Arrival | None = None
    done: Future[None] = field(default_factory=Future)
