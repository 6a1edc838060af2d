"""Run the receivers of `nightread receive`, each with its own spool."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from sqlalchemy.exc import SQLAlchemyError

from db import error_messages
from db.engine import Database
from db.ledger import end_receipts, ensure_source, report_source, update_trust
from nightread.clock import Clock, utc_now
from nightread.paths import root_text
from nightread.settings import Settings
from nightread.shutdown import wait_for_shutdown
from nightread.sources import ReceiverSource
from nightread.thread_group import ThreadGroup
from producer.cstore.allow_list import AllowList
from producer.cstore.group_commit import GroupCommitter
from producer.cstore.store_scp import StoreScp
from producer.dispatcher.disk import DiskAlarm, DiskReserve
from producer.spool.purge import purge
from producer.spool.quota import SpoolQuota, disk_space
from producer.spool.recovery import register_leftovers
from producer.spool.spool import Spool, spool_root

log = logging.getLogger(__name__)

KIND = "receiver"
_TICK_SECONDS = 1.0
_REPORT_SECONDS = 60.0
_PURGE_SECONDS = 600.0
_REST_PER_PURGE = 50
"""The pause after a purge is at least this many times as long as the purge."""
_JOIN_SECONDS = 5.0
"""Seconds to wait for each thread at the end."""


def receive(
    settings: Settings,
    database: Database,
    sources: Sequence[ReceiverSource],
    stop: threading.Event,
    on_registered: Callable[[int], None],
    *,
    on_listening: Callable[[], None] = lambda: None,
) -> None:
    """Run a receiver for each source until `stop` is set. `database` must be opened with `durable=True`.

    `on_registered` is called with the number of new images after each commit, from several threads; it must return
    quickly and must not raise. Each receiver calls `on_listening` once. Raises UsageFault for an address on which a
    receiver cannot listen, StopWork, and programming errors. The first error of any receiver ends all receivers.
    """
    receivers = [Receiver(source, settings, database, on_registered) for source in sources]
    with ThreadGroup(stop, join_seconds=_JOIN_SECONDS * len(receivers)) as group:
        for receiver in receivers:
            group.start(partial(receiver.run, stop, on_listening))
        wait_for_shutdown(stop)


class Receiver:
    """Listens for one source, registers its images, and purges its spool."""

    def __init__(
        self,
        source: ReceiverSource,
        settings: Settings,
        database: Database,
        on_registered: Callable[[int], None],
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._source = source
        self._settings = settings
        self._database = database
        self._on_registered = on_registered
        self._clock = clock
        self._priority = settings.default_priority if source.priority is None else source.priority
        self._spool = Spool(spool_root(settings, source.name), clock=clock)
        self._quota = SpoolQuota(
            partial(disk_space, self._spool.root, settings.disk_reserve_bytes),
            limit_bytes=source.spool_bytes_per_address,
        )
        self._disk_alarm = DiskAlarm(DiskReserve(settings, self._spool.root))
        self._source_id = 0
        self._reported_at = self._purged_at = float("-inf")
        self._purge_pause = _PURGE_SECONDS
        self._reported: dict[str, object] = {}

    def run(self, stop: threading.Event, on_listening: Callable[[], None]) -> None:
        """Receive until `stop` is set. Raises UsageFault and StopWork; at the start also errors of the database."""
        with self._spool.locked():
            self._recover()
            group_committer = GroupCommitter(
                self._database,
                self._spool,
                source_id=self._source_id,
                priority=self._priority,
                on_registered=self._on_registered,
                clock=self._clock,
            )
            scp = StoreScp(
                self._source, self._settings, self._spool, group_committer, quota=self._quota, clock=self._clock
            )
            with ThreadGroup(stop, join_seconds=2 * _JOIN_SECONDS) as group:
                group.start(group_committer.run, on_stop=group_committer.close)
                group.start(scp.serve, on_stop=scp.end)
                log.info("listening", extra={"source": self._source.name, "port": scp.port})
                on_listening()
                while not stop.wait(_TICK_SECONDS):
                    self._report_and_purge(scp)

    def _recover(self) -> None:
        """Clean up after a receiver that died: register complete files, remove incomplete ones, end open receipts."""
        now, root = self._clock(), root_text(self._spool.root)
        self._source_id = ensure_source(
            self._database, name=self._source.name, kind=KIND, root=root, trust=self._source.trust, now=now
        )
        update_trust(self._database, self._source_id, AllowList(self._source.callers).group_now)
        partial = self._spool.remove_partial()
        found = register_leftovers(
            self._database, self._spool, source_id=self._source_id, priority=self._priority, now=now
        )
        self._quota.recount(self._spool.sizes())
        broken_off = end_receipts(self._database, self._source_id, now=now)
        if partial or found or broken_off:
            log.warning(
                "cleaned up after a receiver that died",
                extra={"source": self._source_id, "registered": found, "removed": partial, "associations": broken_off},
            )
        if found:
            self._on_registered(found)

    def _has_problem_changed(self, report: Mapping[str, object]) -> bool:
        """Return whether a problem began or ended since the latest report, so that a new report is due at once."""
        return any(
            bool(report[name]) != bool(self._reported.get(name))
            for name in ("disk_short", "disk_low", "refused_associations", "over_quota")
        )

    def _report_and_purge(self, scp: StoreScp) -> None:
        """Report to `status` every minute, purge every ten minutes, and try again later if database or disk fail."""
        began = time.monotonic()
        report: dict[str, object] = {
            "disk_short": scp.disk_short,
            "disk_low": self._disk_alarm.check(),
            "associations": scp.associations,
            "rejected": scp.rejected,
            "refused_associations": scp.refused.report(),
            "over_quota": scp.over_quota.report(),
        }
        try:
            if began - self._reported_at >= _REPORT_SECONDS or self._has_problem_changed(report):
                self._reported_at, self._reported = began, report
                report_source(self._database, self._source_id, report, now=self._clock())
            if began - self._purged_at >= self._purge_pause:
                self._purged_at = began
                purge(self._database, self._spool, self._settings, source_id=self._source_id, now=self._clock())
                self._quota.recount(self._spool.sizes())
                self._purge_pause = max(_PURGE_SECONDS, _REST_PER_PURGE * (time.monotonic() - began))
        except SQLAlchemyError as error:
            log.warning(
                "the receiver could not report its state or purge its spool: %s",
                error_messages.describe(error),
                extra={"source": self._source_id},
            )
        except OSError as error:
            log.warning(
                "the receiver could not purge its spool", extra={"source": self._source_id, "errno": error.errno}
            )
