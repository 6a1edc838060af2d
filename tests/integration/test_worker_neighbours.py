"""A network whose channels show neighbouring slices is served: slices wait for the order of their series."""

from dataclasses import replace
from pathlib import Path

import pytest
from dicom_files import with_values
from ledger_driver import LedgerDriver
from neighbour_driver import AXIAL, SERIES, NeighbourNetwork, context_of, form, scan
from sqlalchemy import select
from worker_driver import BUNDLE, FakeNetwork, WorkerDriver

from db import ledger, queries
from db.tables import instances
from models.routing import Role, Rule, Rules
from nightread.reasons import Reason
from worker.context import WorkerContext
from worker.inference.model_set import LoadedModel, ModelSet
from worker.inference.predictor import Predictor


@pytest.fixture
def worker_driver(ledger_driver: LedgerDriver, tmp_path: Path, redis_url: str, bundle_id: int) -> WorkerDriver:
    """Return a driver with an empty inbox."""
    return WorkerDriver(ledger_driver=ledger_driver, folder=tmp_path, redis_url=redis_url, bundle_id=bundle_id)


def test_slices_are_analysed_with_their_neighbours(worker_driver: WorkerDriver) -> None:
    """At the ends of the stack the first and the last slice are repeated. Each file keeps one outcome."""
    network = NeighbourNetwork()
    context = context_of(worker_driver, network)
    worker_driver.put(a=scan(1, 10), b=scan(2, 0), c=scan(3, 5))
    assert worker_driver.analyse(context) == {"received": 3}
    assert network.seen == []
    assert {reason for _, reason in worker_driver.outcomes().values()} == {Reason.AWAITING_SERIES}
    assert queries.waiting_slices(context.database) == 3

    form(context)
    assert queries.waiting_slices(context.database) == 0
    assert worker_driver.analyse(context) == {"done": 3}
    first, middle, last = network.seen  # read in the order of the stack
    assert first[0] == first[1] == middle[0]
    assert middle[1] == first[2] == last[0]
    assert last[1] == last[2] == middle[2]
    assert len({first[1], middle[1], last[1]}) == 3

    (result,) = form(context)
    assert (result.series_state, result.label, result.coverage, result.revision) == ("formed", "clear", "3 of 3", 1)


def test_the_input_is_that_of_training(worker_driver: WorkerDriver) -> None:
    """The channel of the slice itself equals the input of a network with that one channel."""
    network, alone = NeighbourNetwork(), NeighbourNetwork()
    context = context_of(worker_driver, network)
    worker_driver.put(a=scan(1, 0), b=scan(2, 5))
    worker_driver.analyse(context)
    form(context)
    worker_driver.analyse(context)
    single = replace(BUNDLE, spec=replace(BUNDLE.spec, height=32, width=32), digest="1" * 64)
    model = LoadedModel(predictor=Predictor(single, alone), bundle_id=worker_driver.bundle_id)
    models = ModelSet(Rules([Rule(bundle=single.reference)]), {single.reference: model})
    worker_driver.put(c=scan(1, 0, StudyID="x"), d=scan(2, 5, StudyID="x"))
    worker_driver.analyse(worker_driver.context(model_set=models))
    assert [means[1] for means in network.seen] == [means[0] for means in alone.seen]


def test_a_slice_that_asks_again_is_no_change_of_its_series(worker_driver: WorkerDriver) -> None:
    """Otherwise a series whose slices wait long would never become quiet."""
    context = context_of(worker_driver, NeighbourNetwork())
    worker_driver.put(a=scan(1, 0), b=scan(2, 5))
    worker_driver.analyse(context)
    (before,) = queries.series_list(context.database)
    assert worker_driver.analyse(context) == {"received": 2}
    (after,) = queries.series_list(context.database)
    assert (after.series_state, after.changed_at) == ("collecting", before.changed_at)


def test_a_late_slice_waits_and_goes_on_alone(worker_driver: WorkerDriver) -> None:
    """What was analysed before keeps its outcome."""
    network = NeighbourNetwork()
    context = context_of(worker_driver, network)
    worker_driver.put(a=scan(1, 0), b=scan(2, 5))
    worker_driver.analyse(context)
    form(context)
    worker_driver.analyse(context)
    (before,) = form(context)
    worker_driver.put(c=scan(3, 10))
    assert worker_driver.analyse(context) == {"received": 1}
    (meanwhile,) = form(context)
    assert (meanwhile.coverage, meanwhile.revision) == (before.coverage, 1)
    assert worker_driver.analyse(context) == {"done": 1}
    assert len(network.seen) == 3
    (after,) = form(context)
    assert (after.coverage, after.revision) == ("3 of 3", 2)


@pytest.mark.parametrize(("cost", "outcomes"), [("slice", {"done": 2}), ("neighbours", {"rejected": 1, "done": 1})])
def test_a_damaged_neighbour_costs_what_the_bundle_says(
    worker_driver: WorkerDriver, cost: str, outcomes: dict[str, int]
) -> None:
    """The slice itself stands in for it, or is a bad slice; a slice farther away is as good as ever."""
    context = context_of(worker_driver, NeighbourNetwork(), bad_slice=cost)
    worker_driver.put(a=scan(1, 0), b=scan(2, 5), c=scan(3, 10, SamplesPerPixel=3))
    assert worker_driver.analyse(context) == {"received": 2, "rejected": 1}
    form(context)
    assert worker_driver.analyse(context) == outcomes
    (result,) = form(context)
    assert result.coverage == f"{outcomes['done']} of 3" if cost == "slice" else result.label is None or result.slices


def test_each_slice_stands_in_for_a_damaged_neighbour_itself(worker_driver: WorkerDriver) -> None:
    """Both slices beside the damaged one are in one batch, and neither shows the other."""
    network = NeighbourNetwork()
    context = context_of(worker_driver, network)
    worker_driver.put(a=scan(1, 0), b=scan(2, 5, SamplesPerPixel=3), c=scan(3, 10))
    worker_driver.analyse(context)
    form(context)
    assert worker_driver.analyse(context) == {"done": 2}
    first, last = network.seen
    assert first[1] != last[1]
    assert (first[2], last[0]) == (first[1], last[1])


def test_a_neighbour_that_changed_leaves_size_and_time_of_the_slice(worker_driver: WorkerDriver) -> None:
    """The slice is tried again, as the file that it is."""
    context = context_of(worker_driver, NeighbourNetwork())
    worker_driver.put(a=scan(1, 0), b=scan(2, 5))
    worker_driver.analyse(context)
    form(context)
    before = _sizes(context)
    changed = worker_driver.inbox / "b"
    changed.write_bytes(changed.read_bytes() + bytes(2))

    assert worker_driver.analyse(context) == {"received": 2}

    after = _sizes(context)
    assert (after["a"], after["b"] - before["b"]) == (before["a"], 2)


def _sizes(context: WorkerContext) -> dict[str, int]:
    with context.database.read() as connection:
        return {row.uri: row.size for row in connection.execute(select(instances.c.uri, instances.c.size))}


def test_a_slice_that_belongs_to_no_stack_is_rejected(worker_driver: WorkerDriver) -> None:
    """So are all slices of an ambiguous series: neighbours must not be guessed."""
    context = context_of(worker_driver, NeighbourNetwork())
    own = {"InstanceNumber": 1}
    worker_driver.put(a=scan(1, 0), b=scan(2, 5))
    worker_driver.put(c=with_values(3, StudyInstanceUID="1.2.3", SeriesInstanceUID=SERIES, **own))
    worker_driver.analyse(context)
    form(context)
    assert worker_driver.analyse(context) == {"done": 2, "rejected": 1}
    assert worker_driver.outcomes()["c"] == ("rejected", Reason.SERIES_RULES)


def test_an_ambiguous_series_rejects_its_slices(worker_driver: WorkerDriver) -> None:
    """The series has the same reason."""
    context = context_of(worker_driver, NeighbourNetwork())
    other = with_values(
        3,
        StudyInstanceUID="1.2.3",
        SeriesInstanceUID=SERIES,
        ImagePositionPatient=[0, 0, 5],
        ImageOrientationPatient=AXIAL,
        InstanceNumber=77,
    )
    worker_driver.put(a=scan(1, 0), b=scan(2, 5), c=other)
    worker_driver.analyse(context)
    form(context)
    assert worker_driver.analyse(context) == {"rejected": 3}
    assert {reason for _, reason in worker_driver.outcomes().values()} == {Reason.AMBIGUOUS_SERIES}
    (result,) = form(context)
    assert (result.state, result.reason, result.coverage) == ("rejected", "ambiguous_series", "0 of 3")


def test_an_image_without_a_series_is_rejected(worker_driver: WorkerDriver) -> None:
    """It would wait for ever."""
    context = context_of(worker_driver, NeighbourNetwork())
    worker_driver.put(a=with_values(1, StudyInstanceUID=""))
    assert worker_driver.analyse(context) == {"rejected": 1}


def test_an_image_without_a_place_costs_only_the_network_that_needs_one(worker_driver: WorkerDriver) -> None:
    """A shadow network never changes the result of another one."""
    models = context_of(worker_driver, NeighbourNetwork()).model_set.models
    (shadow,) = models
    plain = LoadedModel(predictor=Predictor(BUNDLE, FakeNetwork()), bundle_id=worker_driver.bundle_id)
    rules = Rules([Rule(bundle=BUNDLE.reference), Rule(bundle=shadow, role=Role.SHADOW)])
    context = worker_driver.context(model_set=ModelSet(rules, {BUNDLE.reference: plain, **models}))
    worker_driver.put(a=with_values(1, StudyInstanceUID=""))
    assert worker_driver.analyse(context) == {"done": 1}
    rows = [(row.ordinal, row.state, row.reason) for row in worker_driver.ledger_driver.work()]
    assert rows == [(0, "done", None), (1, "rejected", Reason.SERIES_RULES)]


def test_a_series_of_another_study_with_the_same_uid_has_its_own_order_and_result(worker_driver: WorkerDriver) -> None:
    """Neighbours never come from another study."""
    context = context_of(worker_driver, NeighbourNetwork())
    worker_driver.put(a=scan(1, 0), b=scan(2, 5))
    worker_driver.analyse(context)
    own = {"ImagePositionPatient": [0, 0, 10], "ImageOrientationPatient": AXIAL}
    worker_driver.put(c=with_values(3, StudyInstanceUID="1.2.9", SeriesInstanceUID=SERIES, **own))
    form(context)
    assert worker_driver.analyse(context) == {"done": 2, "received": 1}
    form(context)
    assert worker_driver.analyse(context) == {"done": 1}
    found = {each.study_instance_uid: each.coverage for each in form(context)}
    assert found == {"1.2.3": "2 of 2", "1.2.9": "1 of 1"}


def test_a_rerun_fails_for_a_series_that_was_never_put_in_order(worker_driver: WorkerDriver) -> None:
    """Otherwise its rows would wait for ever; the first results stay."""
    worker_driver.put(a=scan(1, 0), b=scan(2, 5))
    worker_driver.analyse(worker_driver.context())
    context = context_of(worker_driver, NeighbourNetwork())
    (model,) = context.model_set.models.values()
    images, now = [row.id for row in worker_driver.ledger_driver.instances()], context.clock()
    ledger.plan_rerun(context.database, images, [model.bundle_id], shadow=False, actor="ann", now=now)
    assert worker_driver.analyse(context) == {"failed": 2}
    rows = [(row.ordinal, row.state, row.reason) for row in worker_driver.ledger_driver.work()]
    assert rows == [(0, "done", None)] * 2 + [(1, "failed", Reason.AWAITING_SERIES)] * 2
    assert queries.unfinished_reruns(context.database, [model.bundle_id]) == 0
