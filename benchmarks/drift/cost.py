"""Measure the processor time of drift per image: in the worker, and when a night is counted."""

import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np

from benchmarks.ledger import Timers as LedgerTimers
from benchmarks.ledger import analyse, arrivals, empty_ledger, ensure_source_and_bundle, form, register
from db.drift.nights import keep_night
from db.engine import Database
from imaging.spec import InputSpec, Intensity
from models.drift_values import to_levels
from models.input_range import percentiles
from nightread.clock import utc_now
from nightread.drift.levels import PERCENTILES
from nightread.nights import nights_of
from nightread.settings import load_settings
from worker.inference.input_levels import InputLevels

_MICRO_BATCH = 64
_SPEC = InputSpec(height=128, width=128, channels=1, intensity=Intensity(kind="full"))


def costs(images: int, url: str | None = None) -> dict[str, float]:
    """Return microseconds of processor time per image by step; `url` names an empty PostgreSQL database."""
    found = _of_worker(images)
    with empty_ledger(url) as database:
        found["count the night, once"] = _of_night(database, images)
    return found


def _of_worker(images: int) -> dict[str, float]:
    inputs = np.random.default_rng(1).random((_MICRO_BATCH, *_SPEC.shape), np.float32)
    found = percentiles(inputs, PERCENTILES)
    rounds = max(1, images // _MICRO_BATCH)
    frames = [(number, 1) for number in range(_MICRO_BATCH)]

    def measure() -> None:
        percentiles(inputs, PERCENTILES)

    def collect() -> None:
        levels = InputLevels()
        levels.add(frames, to_levels(found, _SPEC))
        levels.by_image()

    return {
        "percentiles of the input (the check of the domain needs them too)": _microseconds(measure, rounds)
        / _MICRO_BATCH,
        "levels of the input": _microseconds(collect, rounds) / _MICRO_BATCH,
    }


def _of_night(database: Database, images: int) -> float:
    source, bundle = ensure_source_and_bundle(database)
    for begin in range(0, images, 1000):
        register(database, source, arrivals(images)[begin : begin + 1000])
    while formed := form(database):
        for batch in formed:
            analyse(database, batch.id, bundle, LedgerTimers())
    with tempfile.TemporaryDirectory() as state:
        nights = nights_of(load_settings(None, state_dir=Path(state)))
    evening: date = nights.latest(utc_now())
    return _microseconds(lambda: keep_night(database, nights, evening), 1, rounds=20) / images


def _microseconds(call: Callable[[], object], times: int, *, rounds: int = 5) -> float:
    """Return the processor time of one call in microseconds: the best of some rounds, as other processes add time."""
    best = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        for _ in range(times):
            call()
        best = min(best, (time.process_time() - began) / times)
    return best * 1e6
