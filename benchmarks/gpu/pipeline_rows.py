"""Measure the reading of files alone, and the whole way from files through the network."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gpu.files import Files, rate
from benchmarks.gpu.network import Array, make_inputs, make_layers
from benchmarks.gpu.pipeline_choice import STAND_IN
from benchmarks.gpu.plan import Plan
from benchmarks.gpu.runtimes import FLOAT32, Runtime, open_runtime
from benchmarks.gpu.utilisation import Utilisation

Row = dict[str, Any]

_STAND_IN_SPEED = 2.0
"""In a rehearsal, the stand-in is this many times as fast as reading in one thread, so that reading ahead helps."""
_DECODE_SECONDS_SHARE = 3


class StandIn:
    """Replaces a network on a GPU: it sleeps for a fixed time per frame, and so needs no processor time."""

    device = "stand-in"

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second

    def put(self, inputs: Array) -> Array:
        """Return the inputs."""
        return inputs

    def run(self, resident: Array) -> None:
        """Sleep."""
        time.sleep(len(resident) / self._per_second)

    def scores(self, inputs: Array) -> Array:
        """Sleep, and return the same scores for every frame."""
        self.run(inputs)
        return np.tile(np.float32([[0.75, 0.25]]), (len(inputs), 1))


def decode_rows(plan: Plan, folder: Path) -> Iterator[Row]:
    """Yield rows with the frames per second that threads and processes read and prepare, without any network."""
    files = Files(plan, folder)
    seconds = plan.pipeline_seconds / _DECODE_SECONDS_SHARE
    for kind, read in (("threads", files.by_threads), ("processes", files.by_processes)):
        for workers in _steps(plan.processes):
            with closing(_as_generator(read(workers))) as frames:
                per_second, cpu = rate(frames, seconds)
            yield {
                "group": "decode",
                "kind": kind,
                "workers": workers,
                "per_second": per_second,
                "parent_microseconds": 1e6 * cpu if kind == "processes" else None,
            }


def pipeline_rows(plan: Plan, folder: Path, runtime: str) -> Iterator[Row]:
    """Yield rows with the frames per second from files through the network, one for each way to read ahead."""
    files = Files(plan, folder)
    network = open_network(plan, files, runtime)
    alone, with_copy = network_rates(plan, network)
    base = {"group": "pipeline", "runtime": runtime, "device": network.device, "batch": plan.pipeline_batch}
    yield {**base, "group": "pipeline network", "resident_per_second": alone, "copied_per_second": with_copy}
    ways: dict[str, tuple[Callable[[], Iterator[Array]], bool]] = {
        "in turn, one thread": (files.in_turn, False),
        "network in a thread (decode_ahead)": (files.in_turn, True),
        f"{plan.processes} decode threads": (lambda: files.by_threads(plan.processes), True),
        f"{plan.processes} decoder processes": (lambda: files.by_processes(plan.processes), True),
    }
    for way, (read, ahead) in ways.items():
        with (
            closing(_as_generator(read())) as frames,
            Utilisation(has_gpu=network.device == "GPU") as utilisation,
        ):
            per_second = drive(plan, frames, network, ahead=ahead)
        yield {**base, "way": way, "per_second": per_second, "utilisation": utilisation.percent}


def open_network(plan: Plan, files: Files, runtime: str) -> Runtime:
    """Load the benchmark's network, or return a stand-in that is twice as fast as one thread reads files."""
    if runtime != STAND_IN:
        return open_runtime(runtime, make_layers(plan.width), FLOAT32)
    with closing(_as_generator(files.in_turn())) as frames:
        per_second, _ = rate(frames, plan.pipeline_seconds / 2)
    return StandIn(_STAND_IN_SPEED * per_second)


def network_rates(plan: Plan, network: Runtime) -> tuple[float, float]:
    """Return the frames per second of the network alone: with inputs on the device, and with the copy to the device."""
    inputs = make_inputs(plan.pipeline_batch, plan.pixels)
    resident = network.put(inputs)
    rates = []
    for run in (lambda: network.run(resident), lambda: network.scores(inputs)):
        run()
        began, calls = time.perf_counter(), 0
        while calls == 0 or time.perf_counter() - began < plan.seconds:
            run()
            calls += 1
        rates.append(calls * plan.pipeline_batch / (time.perf_counter() - began))
    return rates[0], rates[1]


def drive(plan: Plan, frames: Iterator[Array], network: Runtime, *, ahead: bool) -> float:
    """Fill batches of one fixed shape and score them. Return frames per second; the first batch does not count.

    With `ahead`, the network runs in a thread while the next batch is filled, as in worker.inference.micro_batcher.
    """
    shape = (plan.pipeline_batch, plan.pixels, plan.pixels, 1)
    buffers = [np.empty(shape, np.float32) for _ in range(2)]
    running: Future[Array] | None = None
    with ThreadPoolExecutor(1) as thread:
        count, began = -1, 0.0
        while count <= 0 or time.perf_counter() - began < plan.pipeline_seconds:
            buffer = buffers[count % 2]
            for index in range(len(buffer)):
                buffer[index] = next(frames)[0]
            if running is not None:
                running.result()
            if ahead:
                running = thread.submit(network.scores, buffer)
            else:
                network.scores(buffer)
            count += 1
            if count == 0:
                began = time.perf_counter()
        if running is not None:
            running.result()
        elapsed = time.perf_counter() - began
    return count * plan.pipeline_batch / elapsed


def _steps(most: int) -> list[int]:
    """Return at most four numbers from 1 to `most`."""
    return sorted({1, max(most // 4, 1), max(most // 2, 1), most})


def _as_generator(frames: Iterator[Array]) -> Any:
    """Return an iterator with a method `close`, which ends the threads and processes after the measurement."""
    return frames if hasattr(frames, "close") else (frame for frame in frames)
