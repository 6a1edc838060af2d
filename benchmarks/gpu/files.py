"""Write DICOM files, and read them as a worker process does: in turn, in threads, or in decoder processes."""

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from benchmarks.gpu.network import Array
from benchmarks.gpu.plan import Plan

Source = Callable[[], Iterator[Array]]
_AHEAD_PER_THREAD = 4


class Files:
    """A folder of uncompressed 16-bit phantoms, and the bundle for whose input they are prepared."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        """Write the files, which are in the page cache afterwards."""
        import cv2

        from benchmarks.workloads import Workload, write
        from models.catalogue import find_bundle
        from models.phantoms.dicom import PhantomStyle

        cv2.setNumThreads(1)  # as in every worker process
        style = PhantomStyle(size=plan.file_pixels, bits=12, syntax="explicit", monochrome1=False)
        paths = write(Workload(name="gpu", images=plan.files, style=style), folder, plan.files)
        shipped = find_bundle("phantom", ())
        self.bundle = replace(shipped, domain=None, spec=replace(shipped.spec, height=plan.pixels, width=plan.pixels))
        self.images: Sequence[Any] = [_claimed(number, path) for number, path in enumerate(paths, 1)]

    def prepared(self, image: Any) -> Array:
        """Read, hash, parse, decode and prepare one file: (1, rows, columns, 1) float32."""
        from imaging.prepare import prepare
        from imaging.read import read
        from worker.fetching.files import fetch

        file = fetch(image, roots={}, max_bytes=2**31)
        (frame,) = read(file.data).frames()
        return prepare(frame, self.bundle.spec)[None]

    def endless(self) -> Iterator[Any]:
        """Yield the images again and again, each time with a new id."""
        number = 0
        while True:
            for image in self.images:
                number += 1
                yield image._replace(work_id=number)

    def in_turn(self) -> Iterator[Array]:
        """Yield prepared frames. This thread reads each when it is requested."""
        return map(self.prepared, self.endless())

    def by_threads(self, threads: int) -> Iterator[Array]:
        """Yield prepared frames. Other threads read them ahead."""
        images = self.endless()
        with ThreadPoolExecutor(threads) as executor:
            ahead: deque[Future[Array]] = deque()
            try:
                while True:
                    while len(ahead) < threads * _AHEAD_PER_THREAD:
                        ahead.append(executor.submit(self.prepared, next(images)))
                    yield ahead.popleft().result()
            finally:
                for future in ahead:
                    future.cancel()

    def by_processes(self, processes: int) -> Iterator[Array]:
        """Yield prepared frames. Decoder processes, as a worker has them, write them into shared memory."""
        from imaging.limits import Limits
        from models.routing import Rule, Rules
        from nightread.settings import load_settings
        from worker.decoders.decode_ahead import DecodeAhead
        from worker.decoders.messages import Undecoded
        from worker.decoders.pool import DecodePool
        from worker.inference.model_set import LoadedModel, ModelSet
        from worker.inference.predictor import Predictor

        no_network: Any = SimpleNamespace(runtime="none")  # decoders never call it
        model = LoadedModel(predictor=Predictor(self.bundle, no_network), bundle_id=0)
        models = ModelSet(Rules([Rule(bundle=self.bundle.reference)]), {self.bundle.reference: model})
        settings = load_settings(decoders=processes)
        pool = DecodePool(settings, Limits(), models, record_death=lambda: None)
        try:
            pool.wait_until_ready()
            while True:
                with DecodeAhead(self.images, pool) as ahead:
                    for image in self.images:
                        taken = ahead.take(image, lambda: None)
                        # If a decoder is killed from outside, only a few frames are read here instead.
                        yield self.prepared(image) if isinstance(taken, Undecoded) else taken[1][0]
        finally:
            pool.close()


def rate(frames: Iterator[Array], seconds: float, *, warm_up: int = 8) -> tuple[float, float]:
    """Return frames per second, and processor seconds of this process per frame."""
    for _ in range(warm_up):
        next(frames)
    began, cpu, count = time.perf_counter(), time.process_time(), 0
    while count == 0 or time.perf_counter() - began < seconds:
        next(frames)
        count += 1
    elapsed = time.perf_counter() - began
    return count / elapsed, (time.process_time() - cpu) / count


def _claimed(number: int, path: Path) -> Any:
    from db.ledger import Claimed
    from nightread.clock import utc_now
    from nightread.paths import mtime_of, root_text, uri_of

    status, now = path.stat(), utc_now()
    return Claimed(
        work_id=number,
        instance_id=number,
        source="bench",
        root=root_text(path.parent),
        uri=uri_of(os.fsencode(path.name)),
        size=status.st_size,
        mtime_ns=mtime_of(status),
        attempts=1,
        alone=False,
        arrived_at=now,
        tried_since=now,
        marked=False,
        origin="bench",
    )
