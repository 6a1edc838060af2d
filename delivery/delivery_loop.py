"""Reports for all destinations: once over what is ready, or for as long as the process lives."""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import tzinfo

from sqlalchemy.exc import SQLAlchemyError

from db import queries
from db.engine import Database
from db.retry import OutageLog, RetryPolicy, retry_while_unavailable
from delivery.report_delivery import DeliveryResult, ReportDelivery
from delivery.send import sender_to
from delivery.study_selection import Scope, StudySelector
from nightread.clock import Clock, utc_now
from nightread.settings import Settings
from nightread.sources import Destination

log = logging.getLogger(__name__)

_LOOK_SECONDS = 10.0
_RETRY = RetryPolicy(errors=(SQLAlchemyError,), pause_seconds=_LOOK_SECONDS)


class DeliveryLoop:
    """Looks for studies that are ready, and sends each courier with each."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        report_deliveries: Sequence[tuple[Destination, ReportDelivery]],
        scope: Scope,
        clock: Clock = utc_now,
    ) -> None:
        """`open_delivery_loop` opens one with its connections."""
        self.study_selector = StudySelector(settings, database, scope)
        self._database = database
        self._report_deliveries = report_deliveries
        self._clock = clock

    def ready(self) -> list[str]:
        """Studies that may have something new to report."""
        waiting = [
            study
            for destination, _ in self._report_deliveries
            for study in queries.waiting_studies(self._database, destination.name)
        ]
        return list(self.study_selector.ready(self._clock(), waiting))

    def deliver(
        self, studies: Sequence[str], *, again: bool = False, dry_run: bool = False
    ) -> Iterator[DeliveryResult | None]:
        """One answer per study and destination; None where nothing is new."""
        for _, report_delivery in self._report_deliveries:
            report_delivery.begin_pass()
            act = report_delivery.preview if dry_run else report_delivery.deliver
            for study in studies:
                yield act(study, again=again)

    def follow(self, stop: threading.Event) -> None:
        """Round after round until `stop` is set; a database that is away is waited for."""

        def deliver_ready() -> None:
            for _ in self.deliver(self.ready()):
                if stop.is_set():
                    return

        look_again = self.study_selector.begin_again
        with suppress(SQLAlchemyError):  # raised only once `stop` is set
            while True:
                retry_while_unavailable(deliver_ready, _RETRY, OutageLog(log), stop=stop, on_failure=look_again)
                if stop.wait(_LOOK_SECONDS):
                    return


@contextmanager
def open_delivery_loop(
    settings: Settings,
    database: Database,
    destinations: Sequence[Destination],
    scope: Scope,
    *,
    zone: tzinfo | None = None,
    at_once: bool = False,
    clock: Clock = utc_now,
) -> Iterator[DeliveryLoop]:
    """With connections that are opened when needed and closed at the end. Raises StopWork for bad certificates.

    `at_once`: pauses between tries are not kept, since a person waits.
    """
    with ExitStack() as stack:
        report_deliveries = []
        for destination in destinations:
            sender = stack.enter_context(sender_to(destination))
            report_delivery = ReportDelivery(
                settings, database, destination, sender, zone=zone, at_once=at_once, clock=clock
            )
            report_deliveries.append((destination, report_delivery))
        yield DeliveryLoop(settings, database, report_deliveries, scope, clock)
