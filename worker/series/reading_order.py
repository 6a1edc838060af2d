"""Sort the images of a batch, so that neighbouring slices are read one after the other."""

from collections.abc import Sequence

from db import queries
from db.ledger import Claimed
from worker.context import WorkerContext


def in_reading_order(context: WorkerContext, images: Sequence[Claimed]) -> list[Claimed]:
    """Return the images sorted so that the slices of a stack follow each other, in the order of the stack.

    The images are sorted only if a network shows neighbouring slices, and if their series is in order. Then each slice
    of the batch is decoded once. Outcomes do not depend on this order.
    """
    if not context.model_set.needs_neighbours:
        return list(images)
    places = queries.stack_places(context.database, [image.instance_id for image in images])
    first: dict[tuple[int, int], int] = {}
    keys: dict[int, tuple[int, int]] = {}
    for turn, image in enumerate(images):
        place = places.get(image.instance_id)
        if place is None:
            keys[image.work_id] = (turn, 0)
        else:
            keys[image.work_id] = (first.setdefault((place.series, place.stack), turn), place.place)
    return sorted(images, key=lambda image: keys[image.work_id])
