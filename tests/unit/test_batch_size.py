"""The size of a batch follows the pace of the latest batches."""

import pytest

from db.ledger import QueueStatus
from db.queries import BatchDuration
from producer.dispatcher.batch_size import MIN_FULL_BATCH, STEP_IMAGES, full_batch, share


@pytest.mark.parametrize(
    ("latest", "images"),
    [
        ([], STEP_IMAGES),
        ([BatchDuration(images=256, seconds=0.25)], 1000),  # limited by `largest`
        ([BatchDuration(images=300, seconds=1)], 256),  # four full calls of the network instead of five
        ([BatchDuration(images=100, seconds=4), BatchDuration(images=20, seconds=2)], 20),
        (
            [BatchDuration(images=1, seconds=6)],
            MIN_FULL_BATCH,
        ),  # long cine images: the minimum takes longer than a second
        ([BatchDuration(images=64, seconds=0)], STEP_IMAGES),  # without a measured duration the pace is unknown
    ],
)
def test_a_full_batch_is_a_second_of_work(latest: list[BatchDuration], images: int) -> None:
    """The pace is the sum of images divided by the sum of seconds, so that long batches weigh most."""
    assert full_batch(latest, seconds=1.0, largest=1000) == images


def test_no_batch_is_larger_than_allowed() -> None:
    """This also holds for fast batches, and before any batch was finished."""
    assert full_batch([BatchDuration(images=512, seconds=0.01)], seconds=1.0, largest=48) == 48
    assert full_batch([], seconds=1.0, largest=48) == 48


@pytest.mark.parametrize(
    ("ready", "images"), [(8192, 1000), (2000, 512), (1025, 320), (100, STEP_IMAGES), (20, STEP_IMAGES)]
)
def test_shares_shrink_towards_the_end_of_a_backlog(ready: int, images: int) -> None:
    """With two processes each share is a quarter of the rest, so that no process has a full batch while one is idle."""
    queue_status = QueueStatus(ready=ready, waiting=3, running=2, slots=2)
    assert share(queue_status, 1000, STEP_IMAGES) == images


@pytest.mark.parametrize(("ready", "least", "images"), [(2000, 768, 768), (2000, 320, 512), (1025, 1000, 1000)])
def test_no_share_is_below_the_least(ready: int, least: int, images: int) -> None:
    """For very fast images the smallest share is as large as a full batch."""
    queue_status = QueueStatus(ready=ready, waiting=3, running=2, slots=2)
    assert share(queue_status, 1000, least) == images


def test_slow_images_make_small_shares() -> None:
    """A share is never larger than a full batch."""
    assert share(QueueStatus(ready=30, waiting=0, running=0, slots=2), 4, STEP_IMAGES) == 4
