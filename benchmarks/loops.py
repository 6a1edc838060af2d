"""What the pipeline is held against: loops over the same files in as many processes, with no queue and no ledger."""

import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from hashlib import sha256
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path

from models.bundle import Bundle

BATCH = 64


def rate(
    loop: Callable[[Bundle, Sequence[Path], sqlite3.Connection], None],
    files: Sequence[Path],
    processes: int,
    database: Path,
) -> float:
    """Images per second of `loop` in `processes` processes, each with its share of the files, once all are warm."""
    context = get_context("spawn")
    barrier = context.Barrier(processes + 1)
    shares = [files[index::processes] for index in range(processes)]
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE result (path TEXT, sha256 TEXT, label TEXT, score REAL)")
    connection.close()
    workers = [context.Process(target=_work, args=(loop, share, database, barrier)) for share in shares]
    for worker in workers:
        worker.start()
    barrier.wait()
    started = time.perf_counter()
    barrier.wait()
    seconds = time.perf_counter() - started  # the end of a process that holds TensorFlow takes a while: not counted
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        raise RuntimeError("a process of the loop failed")
    return len(files) / seconds


def _work(
    loop: Callable[[Bundle, Sequence[Path], sqlite3.Connection], None],
    files: Sequence[Path],
    database: Path,
    barrier: Barrier,
) -> None:
    os.environ.update(
        CUDA_VISIBLE_DEVICES="-1",
        TF_CPP_MIN_LOG_LEVEL="3",
        OMP_NUM_THREADS="1",
        TF_NUM_INTRAOP_THREADS="1",
        TF_NUM_INTEROP_THREADS="1",
    )
    import cv2

    from models.catalogue import find_bundle

    cv2.setNumThreads(1)
    bundle = find_bundle("phantom")
    connection = sqlite3.connect(database, timeout=60)
    loop(bundle, files[:BATCH], connection)  # loads and warms the network
    connection.execute("DELETE FROM result")
    connection.commit()
    barrier.wait()
    loop(bundle, files, connection)
    barrier.wait()
    connection.close()


_networks: dict[str, object] = {}


def plain(bundle: Bundle, files: Sequence[Path], connection: sqlite3.Connection) -> None:
    """As a user would write it: dcmread, pixel_array, float window, resize, predict_on_batch, bulk insert."""
    import cv2
    import numpy as np
    import pydicom

    from models.network import load_network

    network = _networks.setdefault("plain", None) or load_network(bundle).model
    _networks["plain"] = network
    for begin in range(0, len(files), BATCH):
        paths = files[begin : begin + BATCH]
        inputs = []
        for path in paths:
            dataset = pydicom.dcmread(path)
            pixels = dataset.pixel_array.astype(np.float32)
            centre, width = float(dataset.WindowCenter), float(dataset.WindowWidth)
            pixels = np.clip((pixels - (centre - width / 2)) / width, 0, 1)
            height, width_px, _ = bundle.spec.shape
            inputs.append(cv2.resize(pixels, (width_px, height), interpolation=cv2.INTER_AREA)[..., None])
        scores = network.predict_on_batch(np.stack(inputs))
        rows = [
            (str(path), None, bundle.labels[int(row.argmax())], float(row.max()))
            for path, row in zip(paths, scores, strict=True)
        ]
        with connection:
            connection.executemany("INSERT INTO result VALUES (?, ?, ?, ?)", rows)


def bare(bundle: Bundle, files: Sequence[Path], connection: sqlite3.Connection) -> None:
    """The pipeline's own functions, in a loop: read, hash, prepare, predict, bulk insert."""
    import numpy as np

    from imaging.prepare import prepare
    from imaging.read import read
    from worker.predict import Predictor

    predictor = _networks.get("bare") or Predictor.load(bundle)
    _networks["bare"] = predictor
    for begin in range(0, len(files), BATCH):
        paths = files[begin : begin + BATCH]
        inputs, hashes = [], []
        for path in paths:
            data = path.read_bytes()
            hashes.append(sha256(data).hexdigest())
            inputs.extend(prepare(frame, bundle.spec) for frame in read(data).frames())
        results = bundle.verdict.image_results(predictor.scores(np.stack(inputs)))
        rows = [
            (str(path), digest, result.label, result.score)
            for path, digest, result in zip(paths, hashes, results, strict=True)
        ]
        with connection:
            connection.executemany("INSERT INTO result VALUES (?, ?, ?, ?)", rows)
