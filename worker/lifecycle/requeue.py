"""Requeue the images that a dead process of this worker had claimed."""

import logging

from db import ledger
from db.engine import Database
from db.ledger import WorkerProcess
from nightread.clock import Clock, utc_now
from worker.isolation.in_flight import Slot

log = logging.getLogger(__name__)


def requeue_dead_predecessor(
    database: Database, process: WorkerProcess, *, work_in_flight: int | None, clock: Clock = utc_now
) -> int:
    """Requeue the images of the dead process whose slot this process has taken, and return their number.

    `work_in_flight` is the work id that the dead process was reading; this image gets a batch of its own from now on.
    """
    images = ledger.requeue_predecessor(database, process, work_in_flight=work_in_flight, now=clock())
    _log_death(images, process)
    return images


def requeue_dead_sibling(
    database: Database, batch_id: str, process: WorkerProcess, slot: Slot, *, clock: Clock = utc_now
) -> int:
    """Requeue the images of a batch if the sibling process that claimed it is dead, and return their number.

    Celery delivers the batch of a dead process to another process. If both belong to the same worker, this other
    process requeues the images at once. So the images need not wait for the replacement of the dead process, which must
    first load its networks. Returns 0 if the sibling is alive, or if its replacement has already taken its slot: then
    the replacement requeues the images.
    """
    owner = ledger.owner_of(database, batch_id)
    if owner is None or (owner.node, owner.boot_id) != (process.node, process.boot_id):
        return 0
    if owner.index == process.index or not slot.is_dead(owner.index):
        return 0
    work_in_flight = slot.work_in_flight(owner.index)
    if not slot.is_dead(owner.index):  # meanwhile its successor has taken the slot and requeued the images
        return 0
    slot.record_death()
    images = ledger.requeue_batch(database, batch_id, owner=owner, work_in_flight=work_in_flight, now=clock())
    _log_death(images, owner)
    return images


def _log_death(images: int, dead: WorkerProcess) -> None:
    if images:
        names = {"node": dead.node, "process_index": dead.index}
        log.warning("a worker process died: its images were requeued", extra={"images": images, **names})
