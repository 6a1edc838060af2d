"""Poll image stores and register their new images (`nightread poll`)."""

import logging
import random
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import partial
from zoneinfo import ZoneInfo

from sqlalchemy.exc import DataError, SQLAlchemyError

from db.engine import Database
from db.ledger import Expected, cursor_of, ensure_source, expect, register_and_move, report_source
from db.retry import FAILED, OutageLog
from nightread.clock import Clock, utc_now
from nightread.errors import StopWork, UsageFault
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
_REPORT_SECONDS = 60.0
_DOUBLINGS = 10
_MOST_TROUBLES = 10
_UID_LENGTH, _MOST_INSTANCES = 64, 2**31 - 1
"""Limits of the database. If the UID of a study is longer, or its number of images larger, the number is not stored."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreReport:
    """The result of the latest poll. All texts in it are written by nightread, so that it may be logged and stored."""

    troubles: tuple[str, ...] = ()
    """Problems of the store. Each text continues a sentence that begins with the store ("lists no ...")."""
    seconds: float = 0.0
    """Duration of the latest successful poll."""


def poll(
    settings: Settings,
    database: Database,
    stores: Sequence[Store],
    stop: threading.Event,
    on_registered: Callable[[int], None],
) -> None:
    """Poll each store in its own thread until `stop` is set, so that a store that hangs does not block other stores.

    `on_registered` is called with the number of new or changed arrivals after each commit, from any thread, and must
    not raise. StopWork in a thread ends all threads and is raised here.
    """
    pollers = [StorePoller(store, settings, database, on_registered) for store in stores]
    with ThreadGroup(stop, join_seconds=_JOIN_SECONDS) as group:
        for poller in pollers:
            group.start(partial(poller.run, stop))
        wait_for_shutdown(stop)


class StorePoller:
    """Polls one store and registers its new images.

    An unexpected error of this store is logged and shown in `status`, and does not end the polling of other stores.

    Each poll starts at the cursor that the database holds, not at one in memory. It therefore continues correctly
    after a poll that broke off, after a restart, and after the database was restored from a backup.
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
        self._reported = StoreReport()
        self._reported_at = float("-inf")
        self._outage = OutageLog(log, FAILED, self._source_id)

    @property
    def report(self) -> StoreReport:
        """Return the result of the latest poll."""
        return self._report

    def run(self, stop: threading.Event) -> None:
        """Poll until `stop` is set. If the store or the database is unavailable, try again later."""
        failed = 0
        while not stop.is_set():
            failed = 0 if self._try_poll(stop) else failed + 1
            self._wait(self._pause(failed), stop)

    def poll_once(self, stop: threading.Event) -> int:
        """Register the images after the cursor in the database. Returns the number of new or changed arrivals.

        Raises WebError, and errors of the database.
        """
        began, found, troubles = time.monotonic(), 0, set[str]()
        self._source_id = self._outage.source = self._source_id or self._open_source()
        self._feed = self._feed or open_feed(self._store, self._settings)
        cursor = cursor_of(self._database, self._source_id)
        for change_page in self._feed.since(cursor):
            found += self._register(change_page, moved=change_page.cursor != cursor)
            cursor = change_page.cursor
            troubles.update(change_page.troubles)
            self._report_if_due()
            if stop.is_set():
                break
        self._report = StoreReport(troubles=_few(troubles), seconds=round(time.monotonic() - began, 3))
        return found

    def _try_poll(self, stop: threading.Event) -> bool:
        """Poll once and return whether it succeeded. An error that repeats is logged only the first time."""
        try:
            self.poll_once(stop)
            self._report_changes()
        except WebError as error:
            self._report = replace(self._report, troubles=(str(error),))
            self._try_report()
        except DataError as error:  # the database is available, but refuses a value of this store
            self._note_unexpected(error)
        except SQLAlchemyError as error:
            self._outage.failed(error)
        except (StopWork, UsageFault):
            raise
        except Exception as error:  # noqa: BLE001 - logged, and other stores are polled
            self._note_unexpected(error)
        else:
            self._outage.succeeded()
            return True
        return False

    def _note_unexpected(self, error: Exception) -> None:
        """Report an unexpected error. If the same error comes several times in a row, only the first is logged."""
        trouble = f"caused an unexpected {type(error).__name__} in nightread: the log of `nightread poll` says where"
        if self._report.troubles != (trouble,):
            log.error("unexpected error", exc_info=error, extra={"source": self._source_id})
        self._report = replace(self._report, troubles=(trouble,))
        self._try_report()

    def _open_source(self) -> int:
        store = self._store
        return ensure_source(
            self._database, name=store.name, kind=store.kind, root=store.url, trust=store.trust, now=self._clock()
        )

    def _register(self, change_page: ChangePage, *, moved: bool) -> int:
        now = self._clock()
        expect(self._database, [self._expected(count) for count in change_page.counts if _is_storable(count)], now=now)
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
        """Return the time until the next poll, with jitter.

        After a success it is the interval of the store. After each further failure it doubles, up to 60 s.
        """
        if not failed:
            return self._store.poll_seconds * random.uniform(0.9, 1.1)  # noqa: S311 - no secret
        longest = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2.0 ** min(failed - 1, _DOUBLINGS))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311

    def _wait(self, seconds: float, stop: threading.Event) -> None:
        """Wait for the next poll; report to `status` once a minute, so that a dead poller is visible."""
        due = time.monotonic() + seconds
        while not stop.is_set() and (left := due - time.monotonic()) > 0:
            stop.wait(min(left, _REPORT_SECONDS))
            if not stop.is_set():
                self._report_if_due()

    def _report_if_due(self) -> None:
        """Report to `status` if the latest report is a minute old, even during a long poll."""
        if time.monotonic() - self._reported_at >= _REPORT_SECONDS:
            self._try_report()

    def _try_report(self) -> None:
        try:
            self._report_changes()
        except SQLAlchemyError as error:
            self._outage.failed(error)

    def _report_changes(self) -> None:
        """Log the report if it changed, and store it in the database for `status`."""
        changed = self._report.troubles != self._reported.troubles
        if changed:
            level, extra = logging.WARNING if self._report.troubles else logging.INFO, {"source": self._source_id}
            log.log(level, "the store %s", "; it ".join(self._report.troubles) or "is available again", extra=extra)
            self._reported = self._report
        if self._source_id and (changed or time.monotonic() - self._reported_at >= _REPORT_SECONDS):
            self._reported_at = time.monotonic()
            report_source(self._database, self._source_id, asdict(self._report), now=self._clock())


def _few(troubles: Collection[str]) -> tuple[str, ...]:
    """Return the first ten troubles in alphabetical order, and the number of the others, to keep `status` short."""
    listed = sorted(troubles)
    if len(listed) > _MOST_TROUBLES:
        listed[_MOST_TROUBLES:] = [f"has {len(listed) - _MOST_TROUBLES:,} further problems"]
    return tuple(listed)


def _is_storable(count: Count) -> bool:
    uid = count.study_instance_uid
    return 0 < len(uid) <= _UID_LENGTH and uid.isprintable() and count.instances <= _MOST_INSTANCES


def open_feed(store: Store, settings: Settings) -> ChangeFeed:
    """Return the change feed for this kind of store. Raises nightread.web.RefusedError for unreadable certificates."""
    website = open_store(store)
    if isinstance(store, OrthancSource):
        return OrthancFeed(website)
    zone = ZoneInfo(settings.time_zone) if settings.time_zone else None
    return DicomwebFeed(website, days=store.days, today=lambda: datetime.now(zone).date())
