"""Open the connection to a destination, by C-STORE or STOW-RS."""

import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Protocol

from pydicom.dataset import Dataset

from nightread.sources import Destination, StoreDestination

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


@contextmanager
def sender_to(destination: Destination) -> Iterator[ReportSender]:
    """Return a sender that connects when it is first used. Raises StopWork if a certificate file cannot be read."""
    for name in _SILENCED:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    with closing(_sender(destination)) as sender:
        yield sender


def _sender(destination: Destination) -> ReportSender:
    if isinstance(destination, StoreDestination):
        from delivery.store_scu import StoreScu  # noqa: PLC0415 - STOW-RS works without pynetdicom

        return StoreScu(destination)
    from delivery.stow import Stow  # noqa: PLC0415

    return Stow(destination)
