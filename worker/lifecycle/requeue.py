"""What a dead process of this worker had claimed goes back, by the first who finds it."""

import logging

from db import ledger
from db.engine import Database
from db.ledger import WorkerProcess
from nightread.clock import Clock, utc_now
from worker.isolation.in_flight import Slot

log = logging.getLogger(__name__)


def requeue_predecessor(
    database: Database, process: WorkerProcess, *, work_in_flight: int | None, clock: Clock = utc_now
) -> int:
    """By the process that takes the dead one's seat; it knows what was in hand there. Returns the number of images."""
    images = ledger.requeue_predecessor(database, process, work_in_flight=work_in_flight, now=clock())
    _tell(images, process)
    return images


def requeue_dead_sibling(
    database: Database, batch_id: str, process: WorkerProcess, slot: Slot, *, clock: Clock = utc_now
) -> int:
    """By a process that was delivered a batch which another one has claimed: Celery says so when that one has died.

    Nobody need wait until its successor has loaded a network. Returns the number of images; none while it lives.
    """
    owner = ledger.owner_of(database, batch_id)
    if owner is None or (owner.node, owner.boot_id) != (process.node, process.boot_id):
        return 0
    if owner.index == process.index or not slot.is_dead(owner.index):
        return 0
    work_in_flight = slot.work_in_flight(owner.index)
    if not slot.is_dead(owner.index):  # its successor took the seat meanwhile, and gave back
        return 0
    slot.record_death()
    images = ledger.requeue_batch(database, batch_id, owner=owner, work_in_flight=work_in_flight, now=clock())
    _tell(images, owner)
    return images


def _tell(images: int, dead: WorkerProcess) -> None:
    if images:
        names = {"node": dead.node, "process_index": dead.index}
        log.warning("a worker process died: its images go back", extra={"images": images, **names})
