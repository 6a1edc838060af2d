"""Serve a fake network whose channels show the slices before and behind a slice, and write its slices."""

from dataclasses import replace
from typing import Any

from dicom_files import with_values
from worker_driver import BUNDLE, Array, FakeNetwork, WorkerDriver

from db import ledger, queries
from db.queries import Series
from imaging.input_channel import InputChannel
from imaging.spec import Intensity
from models.routing import Rule, Rules
from models.series.spec import SeriesSpec
from worker.context import WorkerContext
from worker.inference.model_set import LoadedModel, ModelSet
from worker.inference.predictor import Predictor
from worker.series.form import form_due_series

AXIAL = [1, 0, 0, 0, 1, 0]
SERIES = "1.2.3.4"
CHANNELS = (InputChannel(offset=-1), InputChannel(offset=0), InputChannel(offset=1))


class NeighbourNetwork(FakeNetwork):
    """Notes the mean of each channel of each input."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[list[float]] = []

    def batch_scores(self, inputs: Array) -> Array:
        """Return the same scores for every slice; inputs of zeros only fill the micro-batch."""
        slices = [means for means in inputs.mean(axis=(1, 2)) if means.any()]
        self.seen += [[round(float(value), 2) for value in means] for means in slices]
        return super().batch_scores(inputs)


def context_of(driver: WorkerDriver, network: FakeNetwork, **spec: Any) -> WorkerContext:
    """Return a worker process with a bundle that shows the slices before and behind a slice."""
    models = models_of(driver, network, **spec)
    return driver.context(model_set=models, model=next(iter(models.models)))


def models_of(
    driver: WorkerDriver, network: FakeNetwork, *, intensity: Intensity = BUNDLE.spec.intensity, **spec: Any
) -> ModelSet:
    """Return a model set with that bundle alone."""
    shown = replace(BUNDLE.spec, channels=3, meanings=CHANNELS, height=32, width=32, intensity=intensity)
    bundle = replace(
        BUNDLE, name="three", spec=shown, series=SeriesSpec(aggregate="max", **spec), digest="3" * 64, onnx=None
    )
    postprocessing = bundle.postprocessing
    bundle_id = ledger.register_bundle(
        driver.ledger_driver.database,
        name=bundle.name,
        version=bundle.version,
        digest=bundle.digest,
        labels=postprocessing.labels,
        normal_label=postprocessing.normal_label,
        of_series=True,
        now=driver.ledger_driver.clock(),
    )
    model = LoadedModel(predictor=Predictor(bundle, network), bundle_id=bundle_id)
    return ModelSet(Rules([Rule(bundle=bundle.reference)]), {bundle.reference: model})


def scan(index: int, place: float, **values: Any) -> bytes:
    """Return a slice of one series at this position in mm."""
    uids = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": SERIES}
    known = {"ImagePositionPatient": [0, 0, place], "ImageOrientationPatient": AXIAL, "InstanceNumber": int(place)}
    return with_values(index, **known, **uids, **values)


def form(context: WorkerContext) -> list[Series]:
    """Let all series be formed, and return what is known of them."""
    ledger.mark_all_due(context.database)
    form_due_series(context)
    return list(queries.series_list(context.database))
