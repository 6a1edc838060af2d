"""Report the state of the API for `status`, purge its spool and its pictures, and store when keys were used."""

import asyncio
import logging
import time

from sqlalchemy.exc import SQLAlchemyError

from api.intake.intake import SubmissionIntake
from api.keys import KeyRing
from api.whole_step import whole_step
from db import error_messages, ledger
from db.engine import Database
from nightread.clock import Clock
from nightread.settings import Settings
from producer.dispatcher.disk import DiskAlarm, DiskReserve
from producer.spool.purge import purge
from producer.spool.purged_files import remove_pictures

log = logging.getLogger(__name__)

_TICK_SECONDS = 10.0
_REPORT_SECONDS = 60.0
_PURGE_SECONDS = 600.0
_REST_PER_PURGE = 50
"""The pause after a purge is at least this many times as long as the purge."""


class Upkeep:
    """Reports the state of the API each minute, and purges its spool and its pictures every ten minutes."""

    def __init__(
        self, settings: Settings, database: Database, intake: SubmissionIntake, keys: KeyRing, *, clock: Clock
    ) -> None:
        self._settings = settings
        self._database = database
        self._intake = intake
        self._keys = keys
        self._clock = clock
        self._disk_alarm = DiskAlarm(DiskReserve(settings, intake.spool.root))
        self._reported: dict[str, object] | None = None
        self._reported_at = float("-inf")
        self._purge_at = time.monotonic()

    async def run(self) -> None:
        """Run due tasks every ten seconds until the task is cancelled. Errors of database and disk do not end it."""
        while True:
            await whole_step(self.tick)
            await asyncio.sleep(_TICK_SECONDS)

    def tick(self) -> None:
        """Run the tasks that are due. Raises StopWork if another API now serves this database."""
        try:
            self._intake.only_api.check()
            self._report()
            self._purge()
        except SQLAlchemyError as error:
            log.warning("the API could not report its state or purge its spool: %s", error_messages.describe(error))
        except OSError as error:
            log.warning("the API could not purge its spool or its pictures", extra={"errno": error.errno})

    def end(self) -> None:
        """Report that the API was stopped on purpose, so that `status` does not report a problem."""
        try:
            self._keys.store_uses()
            ledger.report_source(self._database, self._intake.source_id, {"stopped": True}, now=self._clock())
        except SQLAlchemyError as error:
            log.warning("the API could not report that it stops: %s", error_messages.describe(error))

    def _report(self) -> None:
        report: dict[str, object] = {"disk_short": self._intake.is_disk_short, "disk_low": self._disk_alarm.check()}
        now = time.monotonic()
        if report != self._reported or now - self._reported_at >= _REPORT_SECONDS:
            self._keys.store_uses()
            ledger.report_source(self._database, self._intake.source_id, report, now=self._clock())
            self._reported, self._reported_at = report, now

    def _purge(self) -> None:
        began = time.monotonic()
        if began < self._purge_at:
            return
        self._purge_at = began + _PURGE_SECONDS
        spool = self._intake.spool
        purge(self._database, spool, self._settings, source_id=self._intake.source_id, now=self._clock())
        self._intake.quota.recount(spool.sizes())
        # The API removes its pictures itself: `nightread purge` and the dispatcher may run in a container with another
        # state folder.
        remove_pictures(self._database, self._settings)
        self._purge_at = began + max(_PURGE_SECONDS, _REST_PER_PURGE * (time.monotonic() - began))
