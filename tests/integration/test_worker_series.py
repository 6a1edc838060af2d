"""A worker reads where slices lie, and forms their series."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dicom_files import with_values
from ledger_driver import LedgerDriver
from worker_driver import BUNDLE, FakeNetwork, WorkerDriver

from db import ledger, queries
from models.routing import Rule, Rules
from models.series.spec import SeriesSpec
from worker.analyse import analyse
from worker.inference.model_set import LoadedModel, ModelSet
from worker.inference.predictor import Predictor
from worker.series.form import form_due_series

AXIAL = [1, 0, 0, 0, 1, 0]
SLICES = replace(BUNDLE, name="slices", series=SeriesSpec(aggregate="mean"), digest="s" * 64)


@pytest.fixture
def worker_driver(ledger_driver: LedgerDriver, tmp_path: Path, redis_url: str, bundle_id: int) -> WorkerDriver:
    """Return a driver with an empty inbox."""
    return WorkerDriver(ledger_driver=ledger_driver, folder=tmp_path, redis_url=redis_url, bundle_id=bundle_id)


def model_set(driver: WorkerDriver) -> ModelSet:
    """Return a model set whose only bundle has the series as its unit."""
    postprocessing = SLICES.postprocessing
    bundle_id = ledger.register_bundle(
        driver.ledger_driver.database,
        name=SLICES.name,
        version=SLICES.version,
        digest=SLICES.digest,
        labels=postprocessing.labels,
        normal_label=postprocessing.normal_label,
        of_series=True,
        now=driver.ledger_driver.clock(),
    )
    model = LoadedModel(predictor=Predictor(SLICES, FakeNetwork()), bundle_id=bundle_id)
    return ModelSet(Rules([Rule(bundle=SLICES.reference)]), {SLICES.reference: model})


def scan(index: int, place: float, **values: Any) -> bytes:
    """Return a slice of one series at this position in mm."""
    position = [0, 0, place]
    uids = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4"}
    return with_values(index, ImagePositionPatient=position, ImageOrientationPatient=AXIAL, **uids, **values)


def test_files_become_the_result_of_a_series(worker_driver: WorkerDriver) -> None:
    """A slice that is damaged keeps its place."""
    worker_driver.put(a=scan(1, 10), b=scan(2, 0), c=scan(3, 15), d=scan(4, 5, SamplesPerPixel=3))
    context = worker_driver.context(model_set=model_set(worker_driver), model=SLICES.reference)
    assert worker_driver.analyse(context) == {"done": 3, "rejected": 1}
    ledger.mark_all_due(context.database)
    assert form_due_series(context) == {"series": 1, "failed": 0}
    (result,) = queries.series_list(context.database)
    assert (result.label, result.coverage, result.remarks) == ("clear", "3 of 4", ["bad_slices"])
    ((_, places),) = queries.places_of(context.database, "1.2.3.4").items()
    assert [place[0] for place in places] == [2, 4, 1, 3]


def test_images_of_other_bundles_have_no_geometry(worker_driver: WorkerDriver) -> None:
    """It is read only for series."""
    worker_driver.put(a=scan(1, 10))
    worker_driver.analyse(worker_driver.context())
    assert [row.geometry for row in worker_driver.ledger_driver.instances()] == [None]


def test_a_rerun_forms_series(worker_driver: WorkerDriver) -> None:
    """The first analysis read no geometry. While slices of the re-run wait, the result is partial."""
    worker_driver.put(a=scan(1, 10), b=scan(2, 0), c=scan(3, 5))
    worker_driver.analyse(worker_driver.context())
    context = worker_driver.context(model_set=model_set(worker_driver), model=SLICES.reference)
    (model,) = context.model_set.models.values()
    images = [row.id for row in worker_driver.ledger_driver.instances()]
    again = {"shadow": True, "actor": "ann", "now": context.clock()}
    ledger.plan_rerun(context.database, images, [model.bundle_id], **again)
    found = []
    for count in (1, 9):
        for batch in worker_driver.ledger_driver.form(count=count, images=1):
            analyse(context, batch.id)
        ledger.mark_all_due(context.database)
        assert form_due_series(context) == {"series": 1, "failed": 0}
        found += queries.series_list(context.database)
    assert [(each.label, each.coverage, each.partial, each.shadow, each.revision) for each in found] == [
        ("clear", "1 of 3", True, True, 1),
        ("clear", "3 of 3", False, True, 2),
    ]
    assert all(row.geometry for row in worker_driver.ledger_driver.instances())
    assert not list(queries.violations(context.database))
