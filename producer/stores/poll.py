"""`nightread poll`: stores asked for what is new, for as long as the process lives."""

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import partial
from zoneinfo import ZoneInfo

from sqlalchemy.exc import SQLAlchemyError

from db.engine import Database
from db.ledger import Expected, cursor_of, ensure_source, expect, register_and_move, report_source
from db.retry import FAILED, OutageLog
from nightread.clock import Clock, utc_now
from nightread.settings import Settings
from nightread.shutdown import wait_for_shutdown
from nightread.sources import OrthancSource
from nightread.stores import Store, open_store
from nightread.thread_group import ThreadGroup
from nightread.web import WebError
from producer.stores.change_feed import ChangeFeed, ChangePage, Count
from producer.stores.dicomweb import DicomwebFeed
from producer.stores.orthanc import OrthancFeed

log = logging.getLogger(__name__)

_JOIN_SECONDS = 0.9
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 60.0
_TELL_SECONDS = 60.0
_DOUBLINGS = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreReport:
    """What the latest look at a store met; text of our own and numbers only, so that it may be logged and stored."""

    troubles: tuple[str, ...] = ()
    """Clauses whose subject is the store."""
    seconds: float = 0.0
    """Of the latest look that went well."""


def poll(
    settings: Settings,
    database: Database,
    stores: Sequence[Store],
    stop: threading.Event,
    on_registered: Callable[[int], None],
) -> None:
    """Ask each store in a thread of its own until `stop` is set: one that hangs holds up no other.

    `on_registered` hears the number of new or changed arrivals after each commit, from any of the threads, and must
    not raise. An error that is ours ends all and is raised here.
    """
    pollers = [StorePoller(store, settings, database, on_registered) for store in stores]
    with ThreadGroup(stop, join_seconds=_JOIN_SECONDS) as group:
        for poller in pollers:
            group.start(partial(poller.run, stop))
        wait_for_shutdown(stop)


class StorePoller:
    """One store, kept in step with the ledger.

    Each look begins at the cursor that the ledger has, so that nothing that this process remembers can be wrong: a
    look that broke off, a database that comes back from a backup and another start are all the same to it.
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        database: Database,
        on_registered: Callable[[int], None],
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._store = store
        self._settings = settings
        self._database = database
        self._priority = settings.default_priority if store.priority is None else store.priority
        self._on_registered = on_registered
        self._clock = clock
        self._source_id = 0
        self._feed: ChangeFeed | None = None
        self._report = StoreReport()
        self._told = StoreReport()
        self._told_at = float("-inf")
        self._outage = OutageLog(log, FAILED, self._source_id)

    @property
    def report(self) -> StoreReport:
        """What the latest look met."""
        return self._report

    def run(self, stop: threading.Event) -> None:
        """Look again and again until `stop` is set. A store or database that is away ends nothing."""
        failed = 0
        while not stop.is_set():
            failed = 0 if self._look_patiently(stop) else failed + 1
            self._wait(self._pause(failed), stop)

    def look(self, stop: threading.Event) -> int:
        """Register what is new since the ledger's cursor. Returns the number of new or changed arrivals.

        Raises WebError, and errors of the database.
        """
        began, found, troubles_met = time.monotonic(), 0, set[str]()
        self._source_id = self._outage.source = self._source_id or self._open_source()
        self._feed = self._feed or open_feed(self._store, self._settings)
        cursor = cursor_of(self._database, self._source_id)
        for change_page in self._feed.since(cursor):
            found += self._register(change_page, moved=change_page.cursor != cursor)
            cursor = change_page.cursor
            troubles_met.update(change_page.troubles)
            if stop.is_set():
                break
        self._report = StoreReport(troubles=tuple(sorted(troubles_met)), seconds=round(time.monotonic() - began, 3))
        return found

    def _look_patiently(self, stop: threading.Event) -> bool:
        """Whether it went well. What is wrong is said once, and again when it is something else."""
        try:
            self.look(stop)
            self._tell()
        except WebError as error:
            self._report = replace(self._report, troubles=(str(error),))
            self._tell_if_possible()
        except SQLAlchemyError as error:
            self._outage.failed(error)
        else:
            self._outage.succeeded()
            return True
        return False

    def _open_source(self) -> int:
        store = self._store
        return ensure_source(self._database, name=store.name, kind=store.kind, root=store.url, now=self._clock())

    def _register(self, change_page: ChangePage, *, moved: bool) -> int:
        now = self._clock()
        if change_page.counts:
            expect(self._database, [self._expected(count) for count in change_page.counts], now=now)
        if not (moved or change_page.arrivals):
            return 0
        done = register_and_move(
            self._database,
            source_id=self._source_id,
            arrivals=change_page.arrivals,
            cursor=change_page.cursor,
            priority=self._priority,
            now=now,
        )
        if done.new + done.changed:
            self._on_registered(done.new + done.changed)
        return done.new + done.changed

    def _expected(self, count: Count) -> Expected:
        return Expected(
            study_instance_uid=count.study_instance_uid,
            source_id=self._source_id,
            reported_by="store",
            images=count.instances,
        )

    def _pause(self, failed: int) -> float:
        """Doubling, capped and jittered while something is away; else what the store's settings say."""
        if not failed:
            return self._store.poll_seconds * random.uniform(0.9, 1.1)  # noqa: S311 - no secret
        longest = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2.0 ** min(failed - 1, _DOUBLINGS))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311

    def _wait(self, seconds: float, stop: threading.Event) -> None:
        """Until the next look, with a word to `status` once a minute, so that a dead poller shows."""
        due = time.monotonic() + seconds
        while not stop.is_set() and (left := due - time.monotonic()) > 0:
            stop.wait(min(left, _TELL_SECONDS))
            if time.monotonic() - self._told_at >= _TELL_SECONDS and not stop.is_set():
                self._tell_if_possible()

    def _tell_if_possible(self) -> None:
        try:
            self._tell()
        except SQLAlchemyError as error:
            self._outage.failed(error)

    def _tell(self) -> None:
        """Log what changed, and leave it with the ledger for `status`."""
        changed = self._report.troubles != self._told.troubles
        if changed:
            level, extra = logging.WARNING if self._report.troubles else logging.INFO, {"source": self._source_id}
            log.log(level, "the store %s", "; it ".join(self._report.troubles) or "answers again", extra=extra)
            self._told = self._report
        if self._source_id and (changed or time.monotonic() - self._told_at >= _TELL_SECONDS):
            self._told_at = time.monotonic()
            report_source(self._database, self._source_id, asdict(self._report), now=self._clock())


def open_feed(store: Store, settings: Settings) -> ChangeFeed:
    """The way to ask this kind of store. Raises nightread.web.RefusedError for certificates that cannot be read."""
    site = open_store(store)
    if isinstance(store, OrthancSource):
        return OrthancFeed(site)
    zone = ZoneInfo(settings.time_zone) if settings.time_zone else None
    return DicomwebFeed(site, days=store.days, today=lambda: datetime.now(zone).date())
