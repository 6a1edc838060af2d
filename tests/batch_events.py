"""Send the events of batches as a worker sends them, through Celery's own code."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

from celery.worker.request import create_request_cls

from nightread.contract import ANALYSE_TASK
from nightread.queue import make_celery
from nightread.settings import load_settings
from worker.batch_request import BatchRequest


@dataclass
class CollectedEvents:
    """Stands for Celery's event dispatcher, and keeps what is sent."""

    def __post_init__(self) -> None:
        self.enabled = True
        self.sent: list[dict[str, Any]] = []

    def send(self, type: str, **fields: Any) -> None:  # noqa: A002 - the name that Celery uses
        """Keep one event."""
        self.sent.append({"type": type, **fields})


def finish_batch(events: Any, result: object, batch_id: str | None = None) -> None:
    """Call what Celery calls in a worker when the task of a batch has returned `result`."""
    task = SimpleNamespace(time_limit=None, soft_time_limit=None, acks_late=False, send_events=True, name=ANALYSE_TASK)
    pool = SimpleNamespace(apply_async=None)
    app = SimpleNamespace(use_fast_trace_task=True)
    made = create_request_cls(BatchRequest, task, pool, "night@host", events, task_ready=lambda *_, **__: None, app=app)
    request = made.__new__(made)
    request.id, request._eventer, request._task = batch_id or str(uuid4()), events, task
    request.on_success((False, repr(result), 0.25))


@dataclass(frozen=True, kw_only=True)
class RemoteWorker:
    """Stands for a worker: what it sends goes to Flower through a real Redis."""

    events: Any

    def analyse(self, result: object, images: int = 1) -> str:
        """Send all events of one batch, and return its id."""
        batch_id = str(uuid4())
        shown = {"name": ANALYSE_TASK, "args": "()", "kwargs": repr({"images": images})}
        self.events.send("task-received", uuid=batch_id, **shown)
        self.events.send("task-started", uuid=batch_id)
        finish_batch(self.events, result, batch_id)
        return batch_id


@contextmanager
def remote_worker(redis_url: str) -> Iterator[RemoteWorker]:
    """Connect a worker to Redis and announce it."""
    app = make_celery(redis_url, load_settings(redis_url=redis_url))
    with app.connection() as connection, app.events.Dispatcher(connection, hostname="night@host") as events:
        events.send("worker-online", freq=2, sw_ident="py-celery", sw_ver="5", sw_sys="Linux")
        yield RemoteWorker(events=events)
