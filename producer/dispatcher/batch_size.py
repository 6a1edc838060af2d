"""Choose the number of images in a batch."""

from collections.abc import Sequence
from math import ceil

from db.ledger import QueueStatus
from db.queries import BatchDuration

RECENT_BATCHES = 8
"""The pace is measured over this many latest batches; older batches may have held images of another modality."""
STEP_IMAGES = 64
"""Number of images that a network takes per call; many networks need as long for a few images as for 64. A full batch
of more images is rounded down to a multiple of this number. Until the first batch has finished, a full batch has this
size."""
MIN_FULL_BATCH = 16
"""Smallest full batch, even for slow images, because a worker retrieves several images from a store at once."""
MIN_SHARE = 0.1
"""Smallest batch at the end of a backlog, as a fraction of a full batch. It bounds the imbalance between processes."""


def full_batch(latest: Sequence[BatchDuration], *, seconds: float, largest: int) -> int:
    """Return the number of images that keep a process busy for `seconds`, by the pace of the latest batches.

    The overhead of a batch is about 10 ms (one message, two transactions, five context switches). That is 1 % of a
    batch of one second, for images of any size. Short batches also bound how long an urgent image waits.
    """
    spent = sum(batch.seconds for batch in latest)
    if spent <= 0:
        return min(STEP_IMAGES, largest)
    images = round(sum(batch.images for batch in latest) * seconds / spent)
    return min(largest, max(MIN_FULL_BATCH, images if images < STEP_IMAGES else images - images % STEP_IMAGES))


def share(queue_status: QueueStatus, full: int, least: int) -> int:
    """Return the size of the next batch: `full`, or less near the end of a backlog, so that all processes end together.

    Guided self-scheduling (Polychronopoulos and Kuck, IEEE Transactions on Computers 36(12), 1987): each share is the
    same fraction of the remaining images. No share is smaller than `least`: below it, the fixed cost of a batch is
    higher than the cost of idle processes.
    """
    return min(full, max(least, ceil(queue_status.ready / queue_status.window / STEP_IMAGES) * STEP_IMAGES))
