"""Measure a whole worker process, from claim to record, with and without decoder processes."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

from sqlalchemy import select

from benchmarks.gpu.files import Files
from benchmarks.gpu.network import LABELS, Array
from benchmarks.gpu.pipeline_rows import open_network
from benchmarks.gpu.plan import Plan
from benchmarks.gpu.runtimes import Runtime
from benchmarks.gpu.utilisation import Utilisation
from db import ledger, schema
from db.engine import Database, open_database
from db.ledger import WorkerProcess
from db.tables import batches
from imaging.limits import Limits
from imaging.patient import PatientHasher
from models.bundle import Bundle
from models.routing import Rule, Rules
from nightread.clock import utc_now
from nightread.settings import load_settings
from producer.folders.folder import Folder
from producer.folders.intake import Intake
from worker.analyse import analyse
from worker.context import WorkerContext
from worker.inference.model_set import LoadedModel, ModelSet
from worker.inference.predictor import Predictor, largest_micro_batch

Row = dict[str, Any]


class _Served:
    """Adapts the network of a runtime to the interface that a Predictor calls."""

    runtime = "benchmark"

    def __init__(self, network: Runtime) -> None:
        self._network = network

    def batch_scores(self, inputs: Array) -> Array:
        """Return the scores of one micro-batch."""
        return self._network.scores(inputs)


def worker_rows(plan: Plan, folder: Path, runtime: str) -> Iterator[Row]:
    """Yield rows with images per second of worker.analyse on SQLite, and the time besides reading and network."""
    files = Files(replace(plan, files=plan.recorded), folder / "scans")
    network = open_network(plan, files, runtime)
    for decoders in (0, plan.processes):
        with Utilisation(has_gpu=network.device == "GPU") as utilisation:
            measured = _measured(plan, folder, files, network, decoders)
        yield {
            "group": "worker",
            "runtime": runtime,
            "device": network.device,
            "decoders": decoders,
            **measured,
            "utilisation": utilisation.percent,
        }


def _measured(plan: Plan, folder: Path, files: Files, network: Any, decoders: int) -> Row:
    with ThreadPoolExecutor(1, "network") as network_thread, ExitStack() as opened:
        context = _open_worker(plan, folder / f"state-{decoders}", files, network, decoders, network_thread)
        opened.callback(_close_worker, context)
        context.open_decode_pool()
        if context.decode_pool is not None:
            context.decode_pool.wait_until_ready()
        first, *others = _form_batches(plan, folder / "scans", context)
        analyse(context, first)  # compiles the batch sizes
        began = time.perf_counter()
        images = sum(analyse(context, batch_id).counts.get("done", 0) for batch_id in others)
        elapsed = time.perf_counter() - began
        ledger_seconds = elapsed - _seconds(context.database, others)
    return {
        "images": images,
        "per_second": images / elapsed,
        "ledger_microseconds": 1e6 * ledger_seconds / max(images, 1),
    }


def _open_worker(
    plan: Plan, state: Path, files: Files, network: Any, decoders: int, network_thread: ThreadPoolExecutor
) -> WorkerContext:
    """Return the context of a worker process, with a new database."""
    settings = load_settings(state_dir=state, decoders=decoders, model="phantom")
    settings.state_dir.mkdir()
    database = open_database(settings.sql_url)
    schema.upgrade(database)
    no_redis: Any = MagicMock()  # takes the notifications for a dispatcher that this benchmark does not have
    return WorkerContext(
        settings=settings,
        database=database,
        redis=no_redis,
        process=WorkerProcess(node="bench", boot_id="bench", index=0),
        limits=Limits(),
        patient=PatientHasher(b"benchmark"),
        model_set=_model_set(plan, database, files.bundle, network),
        network_thread=network_thread,
    )


def _close_worker(context: WorkerContext) -> None:
    if context.decode_pool is not None:
        context.decode_pool.close()
    context.database.close()


def _model_set(plan: Plan, database: Database, bundle: Bundle, network: Any) -> ModelSet:
    """Register the bundle, and return a model set in which it alone analyses all images."""
    bundle_id = ledger.register_bundle(
        database,
        name=bundle.name,
        version=bundle.version,
        digest=bundle.digest,
        labels=bundle.labels[:LABELS],
        normal_label=bundle.postprocessing.normal_label,
        now=utc_now(),
    )
    largest = min(plan.pipeline_batch, largest_micro_batch(bundle.spec, on_gpu=True))
    predictor = Predictor(bundle, _Served(network), largest=largest)
    loaded = LoadedModel(predictor=predictor, bundle_id=bundle_id)
    return ModelSet(Rules([Rule(bundle=bundle.reference)]), {bundle.reference: loaded}, any_domain=True)


def _form_batches(plan: Plan, scans: Path, context: WorkerContext) -> list[str]:
    """Register all files, form at least four batches of them, and return the ids of the batches."""
    settings = context.settings
    Intake(settings, context.database, Folder.from_path(scans, settings), lambda _new: None).register_all()
    formed = ledger.form_batches(
        context.database,
        count=10_000,
        images=min(settings.batch_images, max(plan.recorded // 4, 1)),
        max_bytes=2**40,
        now=utc_now(),
    )
    return [batch.id for batch in formed]


def _seconds(database: Any, batch_ids: list[str]) -> float:
    """Return the seconds that the batches spent in reading and in waiting for the network."""
    with database.read() as connection:
        stored = connection.execute(select(batches.c.seconds).where(batches.c.id.in_(batch_ids))).scalars()
        return sum(seconds["read"] + seconds["predict"] for seconds in stored)
