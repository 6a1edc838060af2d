"""Let the worker finish its batches and take no more, while a person wants this (`nightread drain`)."""

import logging
from typing import Protocol

from db import ledger
from db.engine import Database
from nightread.contract import BATCH_QUEUE

log = logging.getLogger(__name__)


class Consumer(Protocol):
    """The part of Celery's consumer that is used here."""

    def add_task_queue(self, queue: str) -> None:
        """Take messages of this queue."""

    def cancel_task_queue(self, queue: str) -> None:
        """Take no more messages of this queue."""


class Drain:
    """Stops and starts the consumption of batches when the database says so.

    Messages that the worker already has are executed and acknowledged as usual.
    """

    def __init__(self, database: Database, consumer: Consumer, *, node: str, boot_id: str) -> None:
        self._database = database
        self._consumer = consumer
        self._node = node
        self._boot_id = boot_id
        self._drains = False

    def follow(self) -> None:
        """Stop or start the consumption of batches, as the database says.

        Call this in Celery's event loop, because the consumer belongs to it.
        """
        drains = ledger.is_draining(self._database, node=self._node, boot_id=self._boot_id)
        if drains == self._drains:
            return
        if drains:
            self._consumer.cancel_task_queue(BATCH_QUEUE)
            log.warning("this worker drains: it finishes its batches and takes no more")
        else:
            self._consumer.add_task_queue(BATCH_QUEUE)
            log.warning("this worker takes batches again")
        self._drains = drains  # at the end, so that the next call tries again after an error of Redis
