"""What the pipeline is held against: loops over the same files in as many processes, with no queue and no ledger."""

import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from benchmarks import process_times
from models.bundle import Bundle

ONE_THREAD = {
    "CUDA_VISIBLE_DEVICES": "-1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
}
"""As many processes as cores, as in the pipeline: more threads in each would only take turns."""

Loop = Callable[[Bundle, Sequence[Path], sqlite3.Connection], None]


@dataclass(frozen=True, kw_only=True)
class LoopRun:
    """What a loop over a folder took."""

    rate: float
    """Images per second."""
    cpu: float
    """Processor microseconds per image."""


def run(loop: Loop, files: Sequence[Path], database: Path, *, processes: int, batch: int) -> LoopRun:
    """`loop` in `processes` processes, each with its share of the files, `batch` at a time, once all are warm."""
    context = get_context("spawn")
    barrier = context.Barrier(processes + 1)
    shares = [files[index::processes] for index in range(processes)]
    make_table(database)
    workers = [context.Process(target=_work, args=(loop, share, batch, database, barrier)) for share in shares]
    for worker in workers:
        worker.start()
    barrier.wait()
    before, started = process_times.cpu_seconds(), time.perf_counter()
    barrier.wait()
    seconds = time.perf_counter() - started  # the end of a process that holds TensorFlow takes a while: not counted
    cpu = process_times.cpu_seconds()[process_times.LOOPS] - before[process_times.LOOPS]
    barrier.wait()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        raise RuntimeError("a process of the loop failed")
    return LoopRun(rate=len(files) / seconds, cpu=1e6 * cpu / len(files))


def make_table(database: Path) -> None:
    """Where the loops put their results: the four columns that a user would begin with."""
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE result (path TEXT, sha256 TEXT, label TEXT, score REAL)")
    connection.close()


def plain(bundle: Bundle, files: Sequence[Path], connection: sqlite3.Connection) -> None:
    """As a user would write it: dcmread, pixel_array, float window, resize, predict_on_batch, bulk insert."""
    import cv2
    import numpy as np
    import pydicom

    network = _loaded("plain", bundle)
    height, width, _ = bundle.spec.shape
    inputs, owners = [], []
    for path in files:
        dataset = pydicom.dcmread(path)
        pixels = dataset.pixel_array.astype(np.float32)
        centre, window = float(dataset.WindowCenter), float(dataset.WindowWidth)
        pixels = np.clip((pixels - (centre - window / 2)) / window, 0, 1)
        for frame in pixels if pixels.ndim == 3 else pixels[None]:
            inputs.append(cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)[..., None])
            owners.append(path)
    scores = network.predict_on_batch(np.stack(inputs))
    best = {path: row for path, row in zip(owners, scores, strict=True)}  # noqa: C416 - of a cine its last frame
    _insert(connection, [(str(p), None, bundle.labels[int(row.argmax())], float(row.max())) for p, row in best.items()])


def bare(bundle: Bundle, files: Sequence[Path], connection: sqlite3.Connection) -> None:
    """The pipeline's own functions, in a loop: read, hash, prepare, predict, aggregate, bulk insert."""
    import numpy as np

    from imaging.prepare import prepare
    from imaging.read import read

    predictor = _loaded("bare", bundle)
    inputs, counts, hashes = [], [], []
    for path in files:
        data = path.read_bytes()
        hashes.append(sha256(data).hexdigest())
        frames = [prepare(frame, bundle.spec) for frame in read(data).frames()]
        inputs += frames
        counts.append(len(frames))
    scores = np.split(predictor.scores(np.stack(inputs)), np.cumsum(counts)[:-1])
    if max(counts) == 1:
        results = bundle.verdict.image_results(np.concatenate(scores))
    else:
        results = [bundle.verdict.image_result(of_frames) for of_frames in scores]
    rows = zip(files, hashes, results, strict=True)
    _insert(connection, [(str(path), digest, result.label, result.score) for path, digest, result in rows if result])


def _work(loop: Loop, files: Sequence[Path], batch: int, database: Path, barrier: Barrier) -> None:
    os.environ.update(ONE_THREAD)
    import cv2

    from models.catalogue import find_bundle

    cv2.setNumThreads(1)
    bundle = find_bundle("phantom")
    connection = sqlite3.connect(database, timeout=60)
    loop(bundle, files[:batch], connection)  # loads and traces the network
    barrier.wait()
    for begin in range(0, len(files), batch):
        loop(bundle, files[begin : begin + batch], connection)
    barrier.wait()
    connection.close()
    barrier.wait()  # what it spent is read before it ends


def _insert(connection: sqlite3.Connection, rows: list[tuple[Any, ...]]) -> None:
    with connection:
        connection.executemany("INSERT INTO result VALUES (?, ?, ?, ?)", rows)


_networks: dict[str, Any] = {}


def _loaded(kind: str, bundle: Bundle) -> Any:
    """Once per process."""
    if kind not in _networks:
        from models.network import load_network
        from worker.predict import Predictor

        _networks[kind] = Predictor.load(bundle) if kind == "bare" else load_network(bundle).model
    return _networks[kind]
