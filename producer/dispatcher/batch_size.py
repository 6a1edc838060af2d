"""How many images make a batch, and how what is left is shared out."""

from collections.abc import Sequence
from math import ceil

from db.ledger import QueueStatus
from db.queries import BatchDuration

LEARNT_FROM = 8
"""Latest batches whose pace counts: what comes tonight may be of another kind than what came an hour ago."""
LEAST_IMAGES = 64
"""While no batch was ever finished, and of a share while all processes are busy. Larger batches are multiples,
since networks take so many images at once (worker.inference.predictor): for many of them a call with few images costs
as much as a full one."""
FEWEST_IMAGES = 16
"""Of a full batch, however slow its images: what is retrieved from a store is retrieved several at once."""
LEAST_SHARE = 0.1
"""Of the seconds of a full batch: so much longer than another may one process work at the end of a backlog."""


def full_batch(latest: Sequence[BatchDuration], *, seconds: float, largest: int) -> int:
    """Images that keep a process busy for so many seconds, by the pace of the latest batches.

    What a batch costs (a message, two transactions, five wake-ups: some 10 ms) is then a hundredth of it whatever the
    images are, and an urgent image waits seconds for its turn, be it behind 28 x 28 pixels or behind JPEG 2000.
    """
    spent = sum(batch.seconds for batch in latest)
    if spent <= 0:
        return min(LEAST_IMAGES, largest)
    images = round(sum(batch.images for batch in latest) * seconds / spent)
    return min(largest, max(FEWEST_IMAGES, images if images < LEAST_IMAGES else images - images % LEAST_IMAGES))


def share(queue_status: QueueStatus, full: int, least: int) -> int:
    """Images of the next batch of a backlog: a full one, or less near its end, so that all processes end together.

    Guided self-scheduling (Polychronopoulos and Kuck, IEEE Transactions on Computers 36(12), 1987): each share is the
    same part of what is left. None is below `least`, where what a batch costs is more than what waiting for it would.
    """
    return min(full, max(least, ceil(queue_status.ready / queue_status.window / LEAST_IMAGES) * LEAST_IMAGES))
