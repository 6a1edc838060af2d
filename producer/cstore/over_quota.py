"""Count the images that were refused because their sender holds too much in the spool, for `status`."""

from nightread.clock import Clock
from producer.cstore.last_hour import HourlyCounts
from producer.spool.quota import sender_of

OVER_QUOTA = "over_quota"
"""The word under which receipts count the images that were refused for the quota of their sender. Receipts also count
these images under the status of the response, A700."""


class OverQuota:
    """Counts the refused images of the last hour by sender. All AE titles at one address are the same sender."""

    def __init__(self, clock: Clock) -> None:
        self._counts = HourlyCounts(clock)

    def note(self, calling_ae: str, address: str) -> str:
        """Count a refused image, and return its sender."""
        sender = sender_of(address)
        self._counts.add(sender, calling_ae=calling_ae, address=address)
        return sender

    def report(self) -> dict[str, object]:
        """Return the number of images and senders of the last hour, and the latest sender; empty without images."""
        found = self._counts.last_hour()
        return {"images": found.total, "senders": len(found.by_kind), "latest": found.latest} if found else {}
