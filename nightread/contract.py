"""Define the queue message and the names that producers, workers and Flower share."""

from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID

VERSION = 1
ANALYSE_TASK = "nightread.analyse"
FORM_SERIES_TASK = "nightread.form_series"
"""The task of forming the series that are due. Its message names no series: the worker process claims them."""
IMAGE_IDS = "image_ids"
"""Key in the result of a batch's task, with a list of image ids: those that failed, are defective or were put back. If
the batch has only one image, its id is always listed. The key is absent if the list would be empty or longer than 16.
Flower hides a task that put images back, and in which no image got a result, failed or was defective, once later tasks
have tried all its listed images again (`cli.embedded.flower_history`)."""
BATCH_QUEUE = "nightread.batches"
URGENT_PRIORITY, USUAL_PRIORITY = 0, 9
"""Priorities of messages: on Redis 0 is the highest."""
BATCH_LISTS = (BATCH_QUEUE, f"{BATCH_QUEUE}\x06\x16{USUAL_PRIORITY}")
"""The lists in Redis of urgent and of usual messages (kombu.transport.redis). Each list is first in, first out. A
worker takes usual messages only while there are no urgent messages."""
NOTIFY_CHANNEL = "nightread.notify"
FLOWER_KEY = "nightread.flower"
"""A hash in Redis with the latest sign of life of each Flower (nightread.redis_signs)."""
OUTCOMES_CHANNEL = "nightread.outcomes"
"""Workers publish the id of a batch here after its outcomes are committed; the API then reads the database."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchMessage:
    """One Celery message: the id of one batch. It holds no path, no patient data and no pixels."""

    batch_id: str

    def to_kwargs(self) -> dict[str, Any]:
        """Return the keyword arguments of the Celery task, which Redis stores as JSON."""
        return {"v": VERSION, "batch": self.batch_id}

    @classmethod
    def from_kwargs(cls, *, v: int, batch: str) -> Self:
        """Read the keyword arguments of the task. Raises ValueError for a message of another version."""
        if v != VERSION:
            raise ValueError(f"message version {v} is not {VERSION}: producer and worker are of different releases")
        return cls(batch_id=str(UUID(batch)))
