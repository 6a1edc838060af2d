"""Deliver reports to a destination that a test defines, without a connection."""

from collections.abc import Callable
from dataclasses import dataclass, field

from analysed_studies import AnalysedStudies
from pydicom.dataset import Dataset
from report_destinations import cstore_settings

from delivery.delivery_loop import DeliveryLoop
from delivery.report_delivery import ReportDelivery
from delivery.study_selection import Scope

PACS = cstore_settings(1)
"""A destination that no test connects to: the sender is a fake. Its time-out is 5 s."""


@dataclass(kw_only=True)
class FakeSender:
    """A destination that does what a test says, and remembers the reports."""

    act: Callable[[Dataset], str | None] = lambda _report: None
    reports: list[Dataset] = field(default_factory=list)

    def send(self, report: Dataset) -> str | None:
        """Implement ReportSender.send."""
        self.reports.append(report)
        return self.act(report)

    def close(self) -> None:
        """Implement ReportSender.close."""


def failing(error: Exception) -> FakeSender:
    """Return a destination that raises this error for each report."""

    def fail(_report: Dataset) -> str | None:
        raise error

    return FakeSender(act=fail)


def delivery_to(studies: AnalysedStudies, sender: FakeSender, **options: object) -> ReportDelivery:
    """Return the delivery to the destination `pacs` with the clock of the test."""
    driver = studies.ledger_driver
    return ReportDelivery(studies.settings, driver.database, PACS, sender, clock=driver.clock, **options)  # type: ignore[arg-type]


def loop_of(studies: AnalysedStudies, sender: FakeSender, scope: Scope | None = None) -> DeliveryLoop:
    driver = studies.ledger_driver
    deliveries = [(PACS, delivery_to(studies, sender))]
    return DeliveryLoop(studies.settings, driver.database, deliveries, scope or Scope(), driver.clock)
