"""Define the baselines for the pipeline: loops over the same files, without queue or ledger, in as many processes."""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
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
"""One thread per process: there are as many processes as cores, as in the pipeline."""

Loop = Callable[[Bundle, Sequence[Path], sqlite3.Connection], None]


@dataclass(frozen=True, kw_only=True)
class LoopRun:
    """The speed of a loop over a folder."""

    rate: float
    """Images per second."""
    cpu: float
    """Processor microseconds per image."""


@dataclass(frozen=True, kw_only=True)
class WarmLoop:
    """Processes that have loaded and traced the network and wait for files."""

    pipes: Sequence[Connection]

    def run(self, files: Sequence[Path]) -> LoopRun:
        """Analyse the files, divided among the processes. Raises EOFError if a process has died."""
        shares = [files[index :: len(self.pipes)] for index in range(len(self.pipes))]
        before, started = process_times.cpu_seconds(), time.perf_counter()
        for pipe, share in zip(self.pipes, shares, strict=True):
            pipe.send(share)
        for pipe in self.pipes:
            pipe.recv()
        seconds = time.perf_counter() - started
        cpu = process_times.cpu_seconds()[process_times.LOOPS] - before[process_times.LOOPS]
        return LoopRun(rate=len(files) / seconds, cpu=1e6 * cpu / len(files))


@contextmanager
def warm(loop: Loop, first: Sequence[Path], database: Path, *, processes: int, batch: int) -> Iterator[WarmLoop]:
    """Start `loop` in `processes` processes, `batch` files at a time, and warm them up with the `first` files."""
    context = get_context("spawn")
    make_table(database)
    pairs = [context.Pipe() for _ in range(processes)]
    workers = [
        context.Process(target=_work, args=(loop, list(first), batch, database, child_end), daemon=True)
        for _, child_end in pairs
    ]
    for worker, (_, child_end) in zip(workers, pairs, strict=True):
        worker.start()
        child_end.close()  # so that the pipe ends if the process dies
    pipes = [pipe for pipe, _ in pairs]
    try:
        for pipe in pipes:
            pipe.recv()
        yield WarmLoop(pipes=pipes)
    finally:
        for pipe in pipes:
            pipe.close()
        for worker in workers:
            worker.join()


def make_table(database: Path) -> None:
    """Create the table for the results of the loops, with the four columns that a user would probably choose."""
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE result (path TEXT, content TEXT, label TEXT, score REAL)")
    connection.close()


def plain(bundle: Bundle, files: Sequence[Path], connection: sqlite3.Connection) -> None:
    """Analyse as a user would: dcmread, pixel_array, float window, resize, predict_on_batch, bulk insert."""
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
    best = {path: row for path, row in zip(owners, scores, strict=True)}  # noqa: C416 - the last frame of a multi-frame image wins
    _insert(connection, [(str(p), None, bundle.labels[int(row.argmax())], float(row.max())) for p, row in best.items()])


def bare(bundle: Bundle, files: Sequence[Path], connection: sqlite3.Connection) -> None:
    """Analyse with the pipeline's own functions: read, hash, prepare, predict, aggregate, bulk insert."""
    import numpy as np

    from imaging.prepare import prepare
    from imaging.read import read
    from nightread.content_digest import content_of

    predictor = _loaded("bare", bundle)
    inputs, counts, hashes = [], [], []
    for path in files:
        data = path.read_bytes()
        hashes.append(content_of(data))
        frames = [prepare(frame, bundle.spec) for frame in read(data).frames()]
        inputs += frames
        counts.append(len(frames))
    scores = np.split(predictor.scores(np.stack(inputs)), np.cumsum(counts)[:-1])
    if max(counts) == 1:
        results = bundle.postprocessing.image_results(np.concatenate(scores))
    else:
        results = [bundle.postprocessing.image_result(of_frames) for of_frames in scores]
    rows = zip(files, hashes, results, strict=True)
    _insert(connection, [(str(path), digest, result.label, result.score) for path, digest, result in rows if result])


def _work(loop: Loop, first: Sequence[Path], batch: int, database: Path, pipe: Connection) -> None:
    os.environ.update(ONE_THREAD)
    import cv2

    from models.catalogue import find_bundle

    cv2.setNumThreads(1)
    bundle = find_bundle("phantom")
    with closing(sqlite3.connect(database, timeout=60)) as connection:
        files = first
        while True:
            for begin in range(0, len(files), batch):
                loop(bundle, files[begin : begin + batch], connection)
            pipe.send(len(files))
            try:
                files = pipe.recv()
            except EOFError:
                return


def _insert(connection: sqlite3.Connection, rows: list[tuple[Any, ...]]) -> None:
    with connection:
        connection.executemany("INSERT INTO result VALUES (?, ?, ?, ?)", rows)


_networks: dict[str, Any] = {}


def _loaded(kind: str, bundle: Bundle) -> Any:
    """Return the network. It is loaded once per process."""
    if kind not in _networks:
        from models.runtimes.keras_network import load_keras_network
        from worker.inference.predictor import Predictor

        _networks[kind] = Predictor.load(bundle) if kind == "bare" else load_keras_network(bundle).model
    return _networks[kind]
