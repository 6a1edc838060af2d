"""Measure how fast images are registered and dispatched, each step alone."""

import time
from pathlib import Path

from benchmarks.servers import private_redis
from db import ledger
from db.engine import Database
from nightread.clock import utc_now
from nightread.notify import open_redis
from nightread.queue import make_celery
from nightread.settings import load_settings
from producer.dispatcher.transport import Transport
from producer.folders.folder import Folder
from producer.folders.intake import Intake

_BATCHES = 16
"""Batches per transaction, as if the window of the queue had space for many batches."""


def rates(database: Database, folder: Path, state: Path) -> dict[str, float]:
    """Measure images per second of walking and registering, and of forming and publishing, without workers."""
    settings = load_settings(state_dir=state)
    began = time.perf_counter()
    images = Intake(settings, database, Folder.from_path(folder, settings), lambda _new: None).register_all().new
    registered = time.perf_counter()
    with private_redis() as url:
        transport = Transport(make_celery(url, settings), open_redis(url))
        transport.ping()
        ready = time.perf_counter()
        while formed := ledger.form_batches(
            database,
            count=_BATCHES,
            images=settings.batch_images,
            max_bytes=settings.batch_bytes,
            now=utc_now(),
        ):
            for batch in formed:
                transport.publish(batch.id, batch.images)
        published = time.perf_counter()
    return {
        "producer: walk and register": images / (registered - began),
        "dispatcher: form and publish": images / (published - ready),
    }
