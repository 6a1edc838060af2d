"""Send images to networks by routing rules, and store the result of each network."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from dicom_files import phantom, with_values
from ledger_driver import LedgerDriver
from sqlalchemy import select
from worker_driver import BUNDLE, Array, FakeNetwork, WorkerDriver, constant_scores

from db import ledger, queries
from db.queries import ImageFilter
from db.tables import work
from models.routing import Role, Rule, Rules
from worker.inference.model_set import LoadedModel, ModelSet
from worker.inference.predictor import Predictor


@pytest.fixture
def worker_driver(ledger_driver: LedgerDriver, tmp_path: Path, redis_url: str, bundle_id: int) -> WorkerDriver:
    """Return a driver with an empty inbox."""
    return WorkerDriver(ledger_driver=ledger_driver, folder=tmp_path, redis_url=redis_url, bundle_id=bundle_id)


def model(
    worker_driver: WorkerDriver, name: str, network: FakeNetwork | None = None, *, size: int = 128
) -> LoadedModel:
    """Return a loaded model with its own network, registered in the database."""
    bundle = replace(BUNDLE, name=name, spec=replace(BUNDLE.spec, height=size, width=size))
    bundle_id = ledger.register_bundle(
        worker_driver.ledger_driver.database,
        name=name,
        version=bundle.version,
        digest=name.ljust(64, "0"),
        labels=bundle.labels,
        normal_label=bundle.postprocessing.normal_label,
        now=worker_driver.ledger_driver.clock(),
    )
    return LoadedModel(predictor=Predictor(bundle, network or FakeNetwork()), bundle_id=bundle_id)


def model_set(*entries: tuple[LoadedModel, str, tuple[str, ...]]) -> ModelSet:
    """Return a model set with these rules in this order: (model, role, conditions)."""
    rules = [
        Rule.from_texts(bundle=who.bundle.reference, role=role, conditions=conditions, route_id=number)
        for number, (who, role, conditions) in enumerate(entries, start=1)
    ]
    return ModelSet(Rules(rules), {who.bundle.reference: who for who, _, _ in entries})


def results(worker_driver: WorkerDriver, **wanted: object) -> list[tuple[int, str | None, str | None, str]]:
    """Return (image id, model, label or reason, state) of each row."""
    rows = queries.images(worker_driver.ledger_driver.database, ImageFilter(**wanted))  # type: ignore[arg-type]
    return [(row["image_id"], row["model"], row["label"] or row["reason"], row["state"]) for row in rows]


def certain(inputs: Array) -> Array:
    """Return scores with a nodule in every frame."""
    return np.tile(np.array([[0.0, 1.0]], np.float32), (len(inputs), 1))


def test_rules_send_images_to_their_networks(worker_driver: WorkerDriver) -> None:
    """Each image is scored by the network whose rule takes it; an image that no rule takes is rejected."""
    chest, hand = model(worker_driver, "chest"), model(worker_driver, "hand", FakeNetwork(certain), size=32)
    worker_driver.put(
        a=with_values(1, BodyPartExamined="CHEST"),
        b=with_values(2, BodyPartExamined="HAND"),
        c=with_values(3, BodyPartExamined="FOOT"),
    )
    context = worker_driver.context(
        model_set=model_set((chest, Role.ANSWER, ("body_part=CHEST",)), (hand, Role.ANSWER, ("body_part=HAND",)))
    )
    assert worker_driver.analyse(context) == {"done": 2, "rejected": 1}
    assert results(worker_driver) == [
        (1, "chest", "clear", "done"),
        (2, "hand", "nodule", "done"),
        (3, None, "no_model", "rejected"),
    ]
    assert [row.matched for row in worker_driver.ledger_driver.work()] == [
        {"body_part": "CHEST"},
        {"body_part": "HAND"},
        None,
    ]
    assert [row.route_id for row in worker_driver.ledger_driver.work()] == [1, 2, None]


def test_one_image_goes_to_several_networks(worker_driver: WorkerDriver) -> None:
    """Further results are stored with the answer; the counts have one outcome per image."""
    chest, tubes, trial = (
        model(worker_driver, "chest"),
        model(worker_driver, "tubes", size=64),
        model(worker_driver, "trial", size=64),
    )
    tubes.predictor.network = FakeNetwork(certain)
    worker_driver.put(a=phantom(1), b=phantom(2))
    context = worker_driver.context(
        model_set=model_set((chest, Role.ANSWER, ()), (tubes, Role.FURTHER, ()), (trial, Role.SHADOW, ("rows>=1",)))
    )
    assert worker_driver.analyse(context) == {"done": 2}
    assert results(worker_driver) == [(1, "chest", "clear", "done"), (2, "chest", "clear", "done")]
    assert results(worker_driver, models=("tubes",)) == [(1, "tubes", "nodule", "done"), (2, "tubes", "nodule", "done")]
    assert results(worker_driver, models=("trial",)) == []
    assert results(worker_driver, models=(trial.bundle.reference,), shadow=True) == results(worker_driver, shadow=True)
    assert [row[1] for row in results(worker_driver, shadow=True)] == ["trial", "trial"]
    assert [
        row["matched"] for row in queries.images(worker_driver.ledger_driver.database, ImageFilter(shadow=True))
    ] == [
        {"rows": "64"},
        {"rows": "64"},
    ]
    assert queries.tally(worker_driver.ledger_driver.database).done == 2
    assert list(queries.violations(worker_driver.ledger_driver.database)) == []
    assert len(worker_driver.ledger_driver.predicted()) == 6


def test_a_shadow_network_never_gives_the_answer(worker_driver: WorkerDriver) -> None:
    """An image that only a shadow rule takes is rejected, and the shadow result is stored."""
    trial = model(worker_driver, "trial")
    worker_driver.put(a=phantom(1))
    assert worker_driver.analyse(worker_driver.context(model_set=model_set((trial, Role.SHADOW, ())))) == {
        "rejected": 1
    }
    assert results(worker_driver) == [(1, None, "no_model", "rejected")]
    assert results(worker_driver, shadow=True) == [(1, "trial", "clear", "done")]
    assert list(queries.violations(worker_driver.ledger_driver.database)) == []


def test_bad_scores_of_a_shadow_network_do_not_affect_the_answer(worker_driver: WorkerDriver) -> None:
    """The shadow row has the reason; the answer is stored."""

    def nonsense(inputs: Array) -> Array:
        return np.full((len(inputs), 2), np.nan, np.float32)

    chest, trial = model(worker_driver, "chest"), model(worker_driver, "trial", FakeNetwork(nonsense))
    worker_driver.put(a=phantom(1))
    assert worker_driver.analyse(
        worker_driver.context(model_set=model_set((chest, Role.ANSWER, ()), (trial, Role.SHADOW, ())))
    ) == {"done": 1}
    assert results(worker_driver) == [(1, "chest", "clear", "done")]
    assert results(worker_driver, shadow=True) == [(1, "trial", "bad_scores", "failed")]


def test_a_copy_has_no_results_of_its_own(worker_driver: WorkerDriver) -> None:
    """A duplicate has neither an answer nor further results; it names its original."""
    chest, tubes = model(worker_driver, "chest"), model(worker_driver, "tubes")
    worker_driver.put(a=phantom(1), b=phantom(1))
    context = worker_driver.context(model_set=model_set((chest, Role.ANSWER, ()), (tubes, Role.FURTHER, ())))
    assert worker_driver.analyse(context) == {"done": 1, "duplicate": 1}
    assert len(results(worker_driver, models=("tubes",))) == 1


def test_a_retried_image_has_further_results_once(worker_driver: WorkerDriver) -> None:
    """If the network of the answer runs out of memory, no result of the first attempt is stored."""
    full = True

    def out_of_memory(inputs: Array) -> Array:
        if full:
            raise MemoryError
        return constant_scores(inputs)

    chest, tubes = model(worker_driver, "chest", FakeNetwork(out_of_memory)), model(worker_driver, "tubes")
    worker_driver.put(a=phantom(1))
    context = worker_driver.context(model_set=model_set((chest, Role.ANSWER, ()), (tubes, Role.FURTHER, ())))
    assert worker_driver.analyse(context) == {"received": 1}
    full = False
    assert worker_driver.analyse(context) == {"done": 1}
    with worker_driver.ledger_driver.database.read() as connection:
        assert connection.execute(select(work.c.ordinal, work.c.state).order_by(work.c.id)).all() == [
            (0, "done"),
            (1, "done"),
        ]


@pytest.mark.parametrize("network_thread", [False, True])
def test_a_cine_goes_to_networks_of_several_sizes(worker_driver: WorkerDriver, network_thread: bool) -> None:
    """With cines and single images in one batch, each image gets its own scores, with and without a network thread."""
    size_of: dict[str, list[tuple[int, ...]]] = {"chest": [], "tubes": []}

    def mean(name: str) -> FakeNetwork:
        def answer(inputs: Array) -> Array:
            size_of[name].append(inputs.shape[1:3])
            finding = inputs.mean(axis=(1, 2, 3))
            return np.stack([1 - finding, finding], axis=1)

        return FakeNetwork(answer)

    chest, tubes = model(worker_driver, "chest", mean("chest")), model(worker_driver, "tubes", mean("tubes"), size=32)
    alike = model(worker_driver, "alike", mean("chest"))
    frames = np.linspace(0, 4095, 70, dtype=np.uint16)[:, None, None] * np.ones((1, 64, 64), np.uint16)
    worker_driver.put(a=phantom(1), b=with_values(3, NumberOfFrames=70, PixelData=frames.tobytes()), c=phantom(2))
    context = worker_driver.context(
        model_set=model_set((chest, Role.ANSWER, ()), (tubes, Role.FURTHER, ()), (alike, Role.SHADOW, ("rows>=1",)))
    )
    with ThreadPoolExecutor(1) as executor:
        context.network_thread = executor if network_thread else None
        assert worker_driver.analyse(context) == {"done": 3}
    assert {name: set(sizes) for name, sizes in size_of.items()} == {"chest": {(128, 128)}, "tubes": {(32, 32)}}
    rows = {
        name: [
            (row["image_id"], row["frame"], row["scores"])
            for row in queries.images(worker_driver.ledger_driver.database, wanted)
        ]
        for name, wanted in {
            "chest": ImageFilter(models=("chest",), per_frame=True),
            "tubes": ImageFilter(models=("tubes",), per_frame=True),
            "alike": ImageFilter(shadow=True, per_frame=True),
        }.items()
    }
    assert [row[:2] for row in rows["tubes"]] == [(1, 0), *((2, frame) for frame in range(70)), (3, 0)]
    assert rows["alike"] == rows["chest"]
    assert rows["chest"][1][2] != rows["chest"][70][2]
    assert list(queries.violations(worker_driver.ledger_driver.database)) == []


def test_a_shadow_network_that_raises_does_not_end_the_batch(worker_driver: WorkerDriver) -> None:
    """The answer is stored, the shadow row has the state failed, and the batch is recorded."""

    def broken(inputs: Array) -> Array:
        raise ValueError(inputs.shape)

    chest, trial = model(worker_driver, "chest"), model(worker_driver, "trial", FakeNetwork(broken))
    worker_driver.put(a=phantom(1), b=phantom(2))
    assert worker_driver.analyse(
        worker_driver.context(model_set=model_set((chest, Role.ANSWER, ()), (trial, Role.SHADOW, ())))
    ) == {"done": 2}
    assert [row[2:] for row in results(worker_driver, shadow=True)] == [("internal_error", "failed")] * 2


def test_a_copy_that_no_rule_takes_any_more_is_a_duplicate(worker_driver: WorkerDriver) -> None:
    """Its original is done, so the result of the original applies."""
    chest = model(worker_driver, "chest")
    worker_driver.put(a=phantom(1))
    assert worker_driver.analyse(worker_driver.context(model_set=model_set((chest, Role.ANSWER, ())))) == {"done": 1}
    worker_driver.put(b=phantom(1))
    assert worker_driver.analyse(
        worker_driver.context(model_set=model_set((chest, Role.ANSWER, ("modality=XX",))))
    ) == {"duplicate": 1}
