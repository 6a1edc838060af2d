"""Measure the network alone: with inputs that are already on the device, and with the copy from the host."""

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.gpu.network import Array, make_inputs, make_layers, operations
from benchmarks.gpu.plan import Plan
from benchmarks.gpu.runtimes import FLOAT32, PRECISIONS, open_runtime
from benchmarks.gpu.utilisation import Utilisation

Row = dict[str, Any]

_COMPARED = 16
"""Frames whose scores are compared between precisions and between runtimes."""
_SIZES_IN_LOW_PRECISION = 4
_WARM_UP = 2


def network_rows(plan: Plan, runtime: str) -> Iterator[Row]:
    """Yield one row per precision and batch size. A failure becomes a row with its error, and the next row follows."""
    layers = make_layers(plan.width)
    per_frame = operations(layers, plan.pixels)
    reference: Array | None = None
    for precision in PRECISIONS:
        base: Row = {"group": "network", "runtime": runtime, "precision": precision}
        sizes = plan.sizes if precision == FLOAT32 else plan.sizes[:_SIZES_IN_LOW_PRECISION]
        try:
            network = open_runtime(runtime, layers, precision)
            scores = network.scores(make_inputs(_COMPARED, plan.pixels))
        except Exception as error:  # noqa: BLE001 - the other precisions are still measured
            yield {**base, "error": _in_words(error)}
            continue
        reference = scores if reference is None else reference
        base |= {"device": network.device, "difference": float(np.abs(scores - reference).max())}
        if precision == FLOAT32:
            yield {**base, "group": "scores", "scores": scores[:, 0].tolist()}
        for size in sizes:
            try:
                yield {**base, "batch": size, **_measured(plan, network, size, per_frame)}
            except Exception as error:  # noqa: BLE001 - for example, the batch is too large
                yield {**base, "batch": size, "error": _in_words(error)}


def _measured(plan: Plan, network: Any, size: int, per_frame: float) -> Row:
    inputs = make_inputs(size, plan.pixels)
    resident = network.put(inputs)
    with Utilisation(has_gpu=network.device == "GPU") as utilisation:
        seconds = _median_seconds(plan, lambda: network.run(resident))
    return {
        "resident_per_second": size / seconds,
        "copied_per_second": size / _median_seconds(plan, lambda: network.scores(inputs)),
        "copy_gigabytes_per_second": inputs.nbytes / 1e9 / _median_seconds(plan, lambda: network.put(inputs)),
        "teraflops": per_frame * size / seconds / 1e12,
        "utilisation": utilisation.percent,
    }


def _median_seconds(plan: Plan, run: Callable[[], object]) -> float:
    for _ in range(_WARM_UP):
        run()
    durations: list[float] = []
    ends = time.perf_counter() + plan.seconds
    while not durations or time.perf_counter() < ends:
        began = time.perf_counter()
        run()
        durations.append(time.perf_counter() - began)
    return statistics.median(durations)


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0][:160] if str(error).strip() else 'no message'}"
