"""Send the events of a batch, so that Flower shows only a batch with results as a success."""

from typing import Any

from celery.worker.request import Request

from worker.batch_summary import FAILED, task_event


class BatchRequest(Request):  # type: ignore[misc]
    """Celery's request for one batch. When its task returns, the result decides which event is sent.

    In Celery itself, only an exception ends a task as failed or retried. It would add lines to the log and, for a
    retry, a message to the queue. How messages are acknowledged is not changed.
    """

    def send_event(self, type: str, **fields: Any) -> None:  # noqa: A002 - the name that Celery uses
        """Send an event. A success is replaced by the event that fits the outcomes of the images."""
        if type == "task-succeeded":
            event = task_event(fields["result"])
            type, fields["name"] = event  # noqa: A001
            if event is FAILED:
                fields["exception"] = "No image of this batch has a result."
        super().send_event(type, **fields)
