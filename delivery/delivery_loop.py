"""Send the reports of all ready studies to all destinations, once or repeatedly."""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import tzinfo

from sqlalchemy.exc import SQLAlchemyError

from db import queries
from db.engine import Database
from db.ledger.result_actions import is_wanted_by_rule
from db.retry import OutageLog, RetryPolicy, retry_while_unavailable
from delivery.explaining.explainer import Explainer
from delivery.report_delivery import DeliveryResult, ReportDelivery
from delivery.send import sender_to
from delivery.study_selection import Scope, StudySelector
from nightread.clock import Clock, utc_now
from nightread.settings import Settings
from nightread.sources import Destination

log = logging.getLogger(__name__)

_PASS_SECONDS = 10.0
_RETRY = RetryPolicy(errors=(SQLAlchemyError,), pause_seconds=_PASS_SECONDS)


class DeliveryLoop:
    """Finds studies that are ready, and passes each to the ReportDelivery of each destination."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        report_deliveries: Sequence[tuple[Destination, ReportDelivery]],
        scope: Scope,
        clock: Clock = utc_now,
        *,
        after_pass: Callable[[], None] = lambda: None,
    ) -> None:
        """Use `open_delivery_loop`, which also opens and closes the connections."""
        self.study_selector = StudySelector(settings, database, scope)
        self._database = database
        self._report_deliveries = report_deliveries
        self._clock = clock
        self._after_pass = after_pass

    def ready(self) -> list[str]:
        """Return the UIDs of ready studies whose report may be new or changed."""
        waiting = [
            study
            for destination, _ in self._report_deliveries
            for study in queries.waiting_studies(self._database, destination.name)
        ]
        return list(self.study_selector.ready(self._clock(), waiting))

    def deliver(
        self, studies: Sequence[str], *, again: bool = False, dry_run: bool = False
    ) -> Iterator[DeliveryResult | None]:
        """Yield one result per study and destination; None if there is nothing new to send."""
        for destination, report_delivery in self._report_deliveries:
            report_delivery.begin_pass()
            deliver = report_delivery.preview if dry_run else report_delivery.deliver
            for study in studies:
                yield deliver(study, again=again) if self._is_for(destination, study) else None

    def _is_for(self, destination: Destination, study: str) -> bool:
        """Return whether the destination gets this study. With `studies = "rules"`, a rule must have chosen it."""
        return destination.studies == "all" or is_wanted_by_rule(self._database, study, destination.name)

    def follow(self, stop: threading.Event, *, before_each: Callable[[], None] = lambda: None) -> None:
        """Send all ready reports every ten seconds until `stop` is set; wait while the database is unavailable.

        `before_each` is called before each pass and after each report.
        """

        def deliver_ready() -> None:
            before_each()
            for _ in self.deliver(self.ready()):
                before_each()
                if stop.is_set():
                    return
            self._after_pass()

        select_again = self.study_selector.restart
        with suppress(SQLAlchemyError):  # raised only once `stop` is set
            while True:
                retry_while_unavailable(deliver_ready, _RETRY, OutageLog(log), stop=stop, on_failure=select_again)
                if stop.wait(_PASS_SECONDS):
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
    """Open a delivery loop. Connections are made when they are needed, and closed at the end.

    `zone` is the local time zone of the site; None means the time zone of the host. With `at_once`, a report is sent
    even if the pause before its next attempt has not ended, since a person is waiting.
    """
    with ExitStack() as stack, closing(Explainer(settings, database)) as explainer:
        report_deliveries = []
        for destination in destinations:
            sender = stack.enter_context(sender_to(destination))
            report_delivery = ReportDelivery(
                settings, database, destination, sender, explainer=explainer, zone=zone, at_once=at_once, clock=clock
            )
            report_deliveries.append((destination, report_delivery))
        yield DeliveryLoop(settings, database, report_deliveries, scope, clock, after_pass=explainer.close_if_unused)
