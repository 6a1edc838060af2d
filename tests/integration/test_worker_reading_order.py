"""The slices of a batch are read in the order of their stack, each once, and every result stays the same."""

import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_files import with_values
from ledger_driver import LedgerDriver
from neighbour_driver import NeighbourNetwork, context_of, form, models_of, scan
from worker_driver import BUNDLE, Array, FakeNetwork, WorkerDriver

from db.ledger import Claimed
from imaging.dicom_image import DicomFrames
from imaging.spec import Intensity
from models.routing import Role, Rule, Rules
from worker import reading
from worker.context import WorkerContext
from worker.fetching.files import Fetched, fetch
from worker.inference.model_set import LoadedModel, ModelSet
from worker.inference.predictor import Predictor
from worker.series import neighbours, opened_files
from worker.series.reading_order import in_reading_order

PLACES = [35, 5, 20, 0, 30, 10, 25, 15]


@pytest.fixture
def worker_driver(ledger_driver: LedgerDriver, tmp_path: Path, redis_url: str, bundle_id: int) -> WorkerDriver:
    """Return a driver with an empty inbox."""
    return WorkerDriver(ledger_driver=ledger_driver, folder=tmp_path, redis_url=redis_url, bundle_id=bundle_id)


class ScoringNetwork(NeighbourNetwork):
    """Returns scores that depend on every channel of the input."""

    def batch_scores(self, inputs: Array) -> Array:
        """Return two scores for each input, and note the means of its channels."""
        super().batch_scores(inputs)
        bright = np.tanh(np.abs(inputs.mean(axis=(1, 2), dtype=np.float64) @ [1.0, 2.0, 3.0]))
        return np.stack([1 - bright, bright], axis=1).astype(np.float32)


def put_slices(driver: WorkerDriver) -> None:
    """Register slices whose names and times follow no order."""
    driver.put(**{f"s{index}": scan(index, place) for index, place in enumerate(PLACES)})


def scores(driver: WorkerDriver) -> dict[str, Any]:
    """Return label, scores and remarks by file name."""
    uris = {row.id: row.uri for row in driver.ledger_driver.instances()}
    return {
        uris[row.instance_id]: (row.label, row.scores, row.remarks)
        for row in driver.ledger_driver.work()
        if not row.ordinal
    }


def analyse_twice(driver: WorkerDriver, context: WorkerContext) -> dict[str, int]:
    """Let the slices wait for their series, and return what became of them after it was put in order."""
    driver.analyse(context)
    form(context)
    return driver.analyse(context)


def counted(counts: Counter[str]) -> Callable[..., Fetched]:
    """Return a `fetch` that counts the files that it reads."""

    def count(image: Claimed, **options: Any) -> Fetched:
        counts[image.uri] += 1
        return fetch(image, **options)

    return count


def test_each_slice_of_a_batch_is_read_and_decoded_once(
    worker_driver: WorkerDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although each is shown in three inputs, and the files came in any order."""
    context = context_of(worker_driver, ScoringNetwork())
    put_slices(worker_driver)
    worker_driver.analyse(context)
    form(context)
    read: Counter[str] = Counter()
    decoded: list[int] = []
    make_frame = DicomFrames._frame

    def noted(frames: DicomFrames, index: int, *values: Any) -> Any:
        decoded.append(index)
        return make_frame(frames, index, *values)

    monkeypatch.setattr(DicomFrames, "_frame", noted)
    for module in (reading, neighbours):
        monkeypatch.setattr(module, "fetch", counted(read))
    assert worker_driver.analyse(context) == {"done": len(PLACES)}
    assert set(read.values()) == {1}
    assert len(decoded) == len(read) == len(PLACES)


def test_results_do_not_depend_on_what_is_kept(worker_driver: WorkerDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without memory for files that were opened ahead, and in the order of arrival, all scores are the same."""
    context = context_of(worker_driver, ScoringNetwork())
    put_slices(worker_driver)
    assert analyse_twice(worker_driver, context) == {"done": len(PLACES)}
    kept = scores(worker_driver)

    monkeypatch.setattr(opened_files, "_MOST_BYTES", 0)
    monkeypatch.setattr("worker.analyse.in_reading_order", lambda _context, images: images)
    worker_driver.put(**{f"t{index}": scan(index, place, StudyID="x") for index, place in enumerate(PLACES)})
    second = context_of(worker_driver, ScoringNetwork())
    analyse_twice(worker_driver, second)
    again = scores(worker_driver)
    assert [again[f"t{index}"] for index in range(8)] == [kept[f"s{index}"] for index in range(8)]
    assert len({str(found) for found in kept.values()}) == len(PLACES)


def test_remarks_stay_with_their_slice(worker_driver: WorkerDriver) -> None:
    """The slice was prepared as the neighbour of another one before its own turn."""
    intensity = Intensity(kind="voi")
    context = context_of(worker_driver, ScoringNetwork(), intensity=intensity)
    worker_driver.put(a=scan(1, 0), b=scan(2, 5, WindowWidth="0"), c=scan(3, 10))
    assert analyse_twice(worker_driver, context) == {"done": 3, "with_remark": 1}
    remarks = {name: found[2] for name, found in scores(worker_driver).items()}
    assert remarks == {"a": None, "b": "voi_not_used", "c": None}


def test_each_slice_beside_a_damaged_one_stands_in_for_it_itself(worker_driver: WorkerDriver) -> None:
    """The slice that took its place for the one before is not shown for the one behind."""
    network = NeighbourNetwork()
    context = context_of(worker_driver, network)
    worker_driver.put(a=scan(1, 0), b=scan(2, 5, SamplesPerPixel=3), c=scan(3, 10))
    assert analyse_twice(worker_driver, context) == {"done": 2}
    assert [len(set(means)) for means in network.seen] == [1, 1]
    assert network.seen[0] != network.seen[1]


def test_the_time_limit_of_a_slice_is_not_spent_on_fetching_its_neighbours(
    worker_driver: WorkerDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a slow share, a healthy neighbour would count as damaged."""
    left: list[float] = []

    def fetch_and_look(*image: Any, **how: Any) -> Any:
        left.append(signal.getitimer(signal.ITIMER_REAL)[0])
        return fetch(*image, **how)

    monkeypatch.setattr("worker.series.neighbours.fetch", fetch_and_look)
    worker_driver.put(a=scan(1, 0), b=scan(2, 5), c=scan(3, 10))
    assert analyse_twice(worker_driver, context_of(worker_driver, NeighbourNetwork())) == {"done": 3}
    assert set(left) == {0.0}


def test_images_without_a_place_keep_their_turn(worker_driver: WorkerDriver) -> None:
    """The slices of a stack come when its first one has its turn."""
    context = context_of(worker_driver, NeighbourNetwork())
    worker_driver.put(a=with_values(9), b=scan(1, 10), c=with_values(8), d=scan(2, 0), e=scan(3, 5))
    worker_driver.analyse(context)
    form(context)
    worker_driver.ledger_driver.clock.advance(minutes=10)
    (batch,) = worker_driver.form()
    images = worker_driver.ledger_driver.claim(batch)
    assert [image.uri for image in in_reading_order(context, images)] == ["a", "d", "e", "b", "c"]
    plain = worker_driver.context()
    assert in_reading_order(plain, images) == images


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="decoder processes need Linux")
@pytest.mark.parametrize("only", [True, False])
def test_decoder_processes_change_no_result(worker_driver: WorkerDriver, only: bool) -> None:
    """The worker process reads slices with neighbours itself, also if decoders read the images of another network."""
    plain = context_of(worker_driver, ScoringNetwork())
    put_slices(worker_driver)
    analyse_twice(worker_driver, plain)
    expected = scores(worker_driver)

    models = models_of(worker_driver, ScoringNetwork())
    if not only:
        (name,) = models.models
        other = LoadedModel(predictor=Predictor(BUNDLE, FakeNetwork()), bundle_id=worker_driver.bundle_id)
        rules = Rules([Rule(bundle=name), Rule(bundle=BUNDLE.reference, role=Role.FURTHER)])
        models = ModelSet(rules, {**models.models, BUNDLE.reference: other})
    context = worker_driver.context(model_set=models, decoders=1)
    context.open_decode_pool()
    assert context.decode_pool is not None
    try:
        worker_driver.put(**{f"t{index}": scan(index, place, StudyID="x") for index, place in enumerate(PLACES)})
        assert analyse_twice(worker_driver, context) == {"done": len(PLACES)}
    finally:
        context.decode_pool.close()
    again = scores(worker_driver)
    assert [again[f"t{index}"] for index in range(8)] == [expected[f"s{index}"] for index in range(8)]
