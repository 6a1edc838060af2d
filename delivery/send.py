"""Open the connection to a destination, by C-STORE or STOW-RS."""

import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Protocol

from pydicom.dataset import Dataset

from delivery.reasons import NotDelivered
from nightread.sources import Destination, StoreDestination

log = logging.getLogger(__name__)

_SILENCED = ("pynetdicom", "highdicom", "urllib3")
"""Libraries whose log lines hold UIDs and other header values."""


class ReportSender(Protocol):
    """A connection to one destination, which is opened when it is first needed."""

    def send(self, report: Dataset) -> str | None:
        """Send the report, and return None or a warning after the destination has stored it.

        The warning is a message of nightread. Raises NotDelivered if the report was not stored.
        """

    def close(self) -> None:
        """Close the connection."""


class LazySender:
    """Opens the connection when the first report is sent.

    If its certificate files cannot be read, only the reports to this destination wait. The files are read again at
    each attempt, so that a corrected file needs no restart.
    """

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        self._sender: ReportSender | None = None

    def check(self) -> None:
        """Log a warning if the certificate files cannot be read."""
        try:
            self._open()
        except NotDelivered as error:
            log.warning("%s", error.detail)

    def send(self, report: Dataset) -> str | None:
        """Connect if necessary, and send the report. Returns and raises what ReportSender.send does."""
        return self._open().send(report)

    def close(self) -> None:
        """Close the connection if it was opened."""
        if self._sender is not None:
            self._sender.close()

    def _open(self) -> ReportSender:
        self._sender = self._sender or _sender(self._destination)
        return self._sender


@contextmanager
def sender_to(destination: Destination) -> Iterator[ReportSender]:
    """Return a sender that connects when it is first used."""
    for name in _SILENCED:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    with closing(LazySender(destination)) as sender:
        sender.check()
        yield sender


def _sender(destination: Destination) -> ReportSender:
    """Open a sender. Raises NotDelivered if a certificate file cannot be read."""
    if isinstance(destination, StoreDestination):
        from delivery.store_scu import StoreScu  # noqa: PLC0415 - STOW-RS works without pynetdicom

        return StoreScu(destination)
    from delivery.stow import Stow  # noqa: PLC0415

    return Stow(destination)
