"""Watch drop folders and register their new and changed files (`nightread watch`)."""

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
_REST_PER_SCAN = 10
"""The pause after a scan is at least this many times as long as the scan: scans use at most a tenth of one core."""
_REST_PER_WANTED_SCAN = 2
"""If an event asks for a scan, the pause before it is at least this many times as long as the previous scan."""
_REPORT_SECONDS = 60.0
_DISK_CHECK_SECONDS = 1.0
"""Interval at which a watcher checks whether the disk has enough free space again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Inbox:
    """A folder to watch. By default its source has the path as its name and the default priority."""

    root: Path
    name: str | None = None
    priority: int | None = None
    trust: str | None = None


def watch(
    settings: Settings,
    database: Database,
    inboxes: Sequence[Inbox],
    stop: threading.Event,
    on_registered: Callable[[int], None],
) -> None:
    """Watch each inbox in its own thread until `stop` is set, so that a hanging network mount does not block others.

    `on_registered` is called with the number of new or changed arrivals after each commit, from any thread, and must
    not raise. This thread meanwhile purges unpacked files from the spool. A programming error in a thread ends all
    threads and is raised here. Raises UsageFault if an inbox is the state folder.
    """
    watchers = [
        FolderWatcher(
            Folder(inbox.root, settings),
            settings,
            database,
            on_registered,
            name=inbox.name,
            priority=inbox.priority,
            trust=inbox.trust,
        )
        for inbox in inboxes
    ]
    with ThreadGroup(stop, join_seconds=_JOIN_SECONDS) as group:
        for watcher in watchers:
            group.start(partial(watcher.run, stop))
        keep_purging(database, settings, stop)


class FolderWatcher:
    """Registers the files of one folder: at once if an event reports them as complete, else when a scan finds them."""

    def __init__(
        self,
        folder: Folder,
        settings: Settings,
        database: Database,
        on_registered: Callable[[int], None],
        *,
        name: str | None = None,
        priority: int | None = None,
        trust: str | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._intake = Intake(
            settings, database, folder, on_registered, name=name, priority=priority, trust=trust, clock=clock
        )
        self._disk = DiskReserve(settings)
        self._disk_short = self._disk_low = False
        self._scan_wanted = False
        self._reported = FolderReport()
        self._reported_at = float("-inf")

    @property
    def report(self) -> FolderReport:
        """Return the result of the latest scan, and whether the disk has enough free space."""
        return replace(self._folder.report, disk_short=self._disk_short, disk_low=self._disk_low)

    def run(self, stop: threading.Event) -> None:
        """Watch until `stop` is set. A missing folder or an unavailable database is logged and retried."""
        with open_events(self._folder.root, stop) as events:
            self._retry(self._intake.open, stop)
            while not stop.is_set():
                self._wait_for_free_space(stop)
                self._scan(events, stop)
                self._handle_events(events, stop)

    def _wait_for_free_space(self, stop: threading.Event) -> None:
        """Wait while the disk has too little free space: unregistered files stay in the folder for the next scan."""
        while self._is_disk_short() and not stop.is_set():
            self._report_state(stop)
            stop.wait(_DISK_CHECK_SECONDS)

    def _is_disk_short(self) -> bool:
        self._disk_short = self._disk.is_short(before=self._disk_short)
        self._disk_low = self._disk.is_low(before=self._disk_low)
        return self._disk_short

    def _scan(self, events: InotifyEvents | NoEvents, stop: threading.Event) -> None:
        self._scan_wanted = False
        self._retry(self._intake.check_marker, stop)
        with suppress(RootMissing):  # the report shows it, in the log and in `status`
            with closing(self._folder.scan(visit=events.watch)) as chunks:
                self._register(chunks, stop, lambda: self._apply_events(events.wait(0), stop))
            events.end_scan()
        self._report_state(stop)

    def _handle_events(self, events: InotifyEvents | NoEvents, stop: threading.Event) -> None:
        """Until the next scan is due, register the files that events report."""
        report, ended = self._folder.report, time.monotonic()
        pause = self._settings.scan_seconds
        if report.pending:
            pause = min(pause, self._settings.settle_seconds)
        due = ended + max(pause, _REST_PER_SCAN * report.seconds)
        due_if_wanted = ended + _REST_PER_WANTED_SCAN * report.seconds
        while not stop.is_set() and not self._is_disk_short():
            left = (due_if_wanted if self._scan_wanted else due) - time.monotonic()
            if left <= 0:
                return
            self._apply_events(events.wait(left), stop)

    def _apply_events(self, events: FileEvents, stop: threading.Event) -> None:
        self._scan_wanted |= events.scan
        if events.completed:
            self._register(self._folder.scan_paths(events.completed), stop)

    def _register(self, chunks: Chunks, stop: threading.Event, between: Callable[[], None] = lambda: None) -> None:
        for chunk in chunks:
            if self._is_disk_short():
                return  # the folder returns this chunk again, since no further chunk is requested
            self._retry(partial(self._intake.register, chunk), stop)
            if stop.is_set():
                return
            between()

    def _retry(self, operation: Callable[[], object], stop: threading.Event) -> None:
        """Run the operation, and repeat it while the database is unavailable and `stop` is not set."""
        if stop.is_set():
            return
        outage = OutageLog(log, FAILED, self._intake.source_id)
        # A database that was restored from a backup or a replica may lack arrivals that it had confirmed.
        forget = self._folder.forget
        with suppress(SQLAlchemyError):  # raised only once `stop` is set
            retry_while_unavailable(operation, _RETRY, outage, stop=stop, on_failure=forget)

    def _report_state(self, stop: threading.Event) -> None:
        """Log changes, and report to `status` after a change and once a minute, so that a dead watcher is visible."""
        report = self.report
        known = self._reported
        changed = (report.troubles, report.pending, report.disk_low) != (known.troubles, known.pending, known.disk_low)
        if changed or time.monotonic() - self._reported_at >= _REPORT_SECONDS:
            self._retry(lambda: self._intake.report(report), stop)
            self._reported_at = time.monotonic()
        if report.troubles != self._reported.troubles:
            log.log(
                logging.WARNING if any(report.troubles) else logging.INFO,
                "the state of the folder changed",
                extra={"source": self._intake.source_id} | asdict(report),
            )
        self._reported = report
