"""`nightread watch`: drop folders kept in step with the ledger, for as long as the process lives."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from db.engine import Database
from db.retry import FAILED, OutageLog, RetryPolicy, retry_while_unavailable
from nightread.clock import Clock, utc_now
from nightread.settings import Settings
from nightread.thread_group import ThreadGroup
from producer.dispatcher.disk import DiskReserve
from producer.folders.events import FileEvents, InotifyEvents, NoEvents, open_events
from producer.folders.folder import Chunks, Folder
from producer.folders.intake import Intake
from producer.folders.report import FolderReport
from producer.folders.walk import RootMissing
from producer.spool.unpacked import keep_purging

log = logging.getLogger(__name__)

_JOIN_SECONDS = 0.9
_RETRY = RetryPolicy(errors=(SQLAlchemyError,), pause_seconds=0.5, longest_pause_seconds=5)
_REST_PER_SCAN = 10  # a scan that takes a second is followed by ten without: at most a tenth of one core
_REST_PER_HINT = 2
_TELL_SECONDS = 60.0
_HOLD_SECONDS = 1.0
"""How often a watcher that waits for room on the disk looks for it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Inbox:
    """A folder to be watched, the name of its source if it is not the path, and its priority if it has its own."""

    root: Path
    name: str | None = None
    priority: int | None = None


def watch(
    settings: Settings,
    database: Database,
    inboxes: Sequence[Inbox],
    stop: threading.Event,
    on_registered: Callable[[int], None],
) -> None:
    """Watch each inbox in a thread of its own until `stop` is set: a network mount that hangs holds up no other.

    `on_registered` hears the number of new or changed arrivals after each commit, from any of the threads, and must
    not raise. What archives left in the spool is purged meanwhile. An error that is ours ends all and is raised here.
    Raises UsageFault for the state folder as an inbox.
    """
    watchers = [
        FolderWatcher(
            Folder(inbox.root, settings),
            settings,
            database,
            on_registered,
            name=inbox.name,
            priority=inbox.priority,
        )
        for inbox in inboxes
    ]
    with ThreadGroup(stop, join_seconds=_JOIN_SECONDS) as group:
        for watcher in watchers:
            group.start(partial(watcher.run, stop))
        keep_purging(database, settings, stop)


class FolderWatcher:
    """One folder, kept in step with the ledger: scans are the truth, events only shorten the wait."""

    def __init__(
        self,
        folder: Folder,
        settings: Settings,
        database: Database,
        on_registered: Callable[[int], None],
        *,
        name: str | None = None,
        priority: int | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._intake = Intake(settings, database, folder, on_registered, name=name, priority=priority, clock=clock)
        self._disk = DiskReserve(settings)
        self._disk_short = False
        self._scan_wanted = False
        self._reported = FolderReport()
        self._told_at = float("-inf")

    @property
    def report(self) -> FolderReport:
        """What the latest scan met, and whether anything may be registered."""
        return replace(self._folder.report, disk_short=self._disk_short)

    def run(self, stop: threading.Event) -> None:
        """Watch until `stop` is set. A missing folder or database is logged and tried again, and ends nothing."""
        with open_events(self._folder.root, stop) as events:
            self._retry(self._intake.open, stop)
            while not stop.is_set():
                self._wait_for_room(stop)
                self._scan(events, stop)
                self._follow(events, stop)

    def _wait_for_room(self, stop: threading.Event) -> None:
        """Backpressure: what is not registered stays in its folder, and the next scan finds it there."""
        while self._is_disk_short() and not stop.is_set():
            self._tell_troubles(stop)
            stop.wait(_HOLD_SECONDS)

    def _is_disk_short(self) -> bool:
        self._disk_short = self._disk.is_short(before=self._disk_short)
        return self._disk_short

    def _scan(self, events: InotifyEvents | NoEvents, stop: threading.Event) -> None:
        self._scan_wanted = False
        self._retry(self._intake.look_for_marker, stop)
        with suppress(RootMissing):  # the report says so, in the log and in `status`
            with closing(self._folder.scan(visit=events.watch)) as chunks:
                self._register(chunks, stop, lambda: self._apply_events(events.wait(0), stop))
            events.end_scan()
        self._tell_troubles(stop)

    def _follow(self, events: InotifyEvents | NoEvents, stop: threading.Event) -> None:
        """Register what events name until the next scan is due."""
        report, ended = self._folder.report, time.monotonic()
        pause = self._settings.scan_seconds
        if report.pending:
            pause = min(pause, self._settings.settle_seconds)
        due = ended + max(pause, _REST_PER_SCAN * report.seconds)
        due_if_wanted = ended + _REST_PER_HINT * report.seconds
        while not stop.is_set() and not self._is_disk_short():
            left = (due_if_wanted if self._scan_wanted else due) - time.monotonic()
            if left <= 0:
                return
            self._apply_events(events.wait(left), stop)

    def _apply_events(self, events: FileEvents, stop: threading.Event) -> None:
        self._scan_wanted |= events.scan
        if events.completed:
            self._register(self._folder.take(events.completed), stop)

    def _register(self, chunks: Chunks, stop: threading.Event, between: Callable[[], None] = lambda: None) -> None:
        for chunk in chunks:
            if self._is_disk_short():
                return  # a chunk that is not followed by another question counts as not registered
            self._retry(partial(self._intake.register, chunk), stop)
            if stop.is_set():
                return
            between()

    def _retry(self, operation: Callable[[], object], stop: threading.Event) -> None:
        """Do it, again and again while the database does not answer, unless `stop` is set."""
        if stop.is_set():
            return
        outage = OutageLog(log, FAILED, self._intake.source_id)
        # A database that comes back from a backup or a replica may lack what it had confirmed.
        forget = self._folder.forget
        with suppress(SQLAlchemyError):  # raised only once `stop` is set
            retry_while_unavailable(operation, _RETRY, outage, stop=stop, on_failure=forget)

    def _tell_troubles(self, stop: threading.Event) -> None:
        """Log what changed; tell `status` of it, and once a minute anyway, so that a dead watcher shows."""
        report = self.report
        changed = (report.troubles, report.pending) != (self._reported.troubles, self._reported.pending)
        if changed or time.monotonic() - self._told_at >= _TELL_SECONDS:
            self._retry(lambda: self._intake.report(report), stop)
            self._told_at = time.monotonic()
        if report.troubles != self._reported.troubles:
            log.log(
                logging.WARNING if any(report.troubles) else logging.INFO,
                "the state of the folder changed",
                extra={"source": self._intake.source_id} | asdict(report),
            )
        self._reported = report
