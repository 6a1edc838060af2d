"""A destination that takes reports."""

import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Protocol

from pydicom.dataset import Dataset

from nightread.sources import Destination, StoreDestination

_TALKATIVE = ("pynetdicom", "highdicom", "urllib3")
"""Libraries whose log lines hold UIDs, and of a header more than that."""


class ReportSender(Protocol):
    """A connection to one destination, opened when it is first needed."""

    def send(self, report: Dataset) -> str | None:
        """None once the report is stored there; what the destination warned of, in our words, if it did.

        Raises NotDelivered.
        """

    def close(self) -> None:
        """Hang up."""


@contextmanager
def sender_to(destination: Destination) -> Iterator[ReportSender]:
    """Connects to nothing yet. Raises StopWork for certificates that cannot be read."""
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    with closing(_sender(destination)) as sender:
        yield sender


def _sender(destination: Destination) -> ReportSender:
    if isinstance(destination, StoreDestination):
        from delivery.store_scu import StoreScu  # noqa: PLC0415 - a site with a web store needs no pynetdicom

        return StoreScu(destination)
    from delivery.stow import Stow  # noqa: PLC0415

    return Stow(destination)
