"""Send the event that fits the outcomes of a batch, so that Flower does not show every batch as a success."""

from typing import Any

from celery.worker.request import Request

from worker.batch_summary import FAILED, task_event


class BatchRequest(Request):  # type: ignore[misc]
    """Celery's request for one batch. When its task returns, the result decides which event is sent.

    In Celery itself, a task ends as failed or retried only by an exception. An exception would add lines to the log
    and, for a retry, a message to the queue. How messages are acknowledged is not changed.
    """

    def send_event(self, type: str, **fields: Any) -> None:  # noqa: A002 - the name that Celery uses
        """Send an event. In place of a success, send the event that fits the outcomes of the images."""
        if type == "task-succeeded":
            event = task_event(fields["result"])
            type, fields["name"] = event  # noqa: A001
            if event is FAILED:
                fields["exception"] = "No image of this batch has a result."
        super().send_event(type, **fields)
