"""Compare the results of a night with labels that were imported afterwards."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cli.inputs.existing_database import one_line_errors, open_existing_database
from cli.wording import counted
from db import queries
from models.bundle import Bundle
from models.evaluation.page import Material
from models.evaluation.predictions import Predictions
from models.evaluation.production import Result, predictions_with_truth
from nightread.errors import UsageFault
from nightread.nights import evening_named, nights_of
from nightread.settings import Settings

ALL_NIGHTS = "all"


@dataclass(frozen=True, kw_only=True)
class NightResults:
    """The results of one bundle in one night, with their ground truth."""

    predictions: Predictions
    material: Material
    remark: str
    """One line that says how many results have ground truth."""
    folder: Path
    """Default folder for the page."""


def night_results(bundle: Bundle, settings: Settings, night: str) -> NightResults:
    """Read the bundle's results of images that arrived in this night and have imported labels.

    `night` is a date, `last`, or `all`. Raises UsageFault if there is nothing to compare.
    """
    name, since, until = _span(settings, night)
    with open_existing_database(settings) as database, one_line_errors():
        met = queries.coverage(database, bundle.digest, since=since, until=until)
        found = queries.results_with_truth(database, bundle.digest, since=since, until=until)
    if not met.analysed:
        raise UsageFault(
            f"{bundle.reference} has no results of {name}: `nightread query --model {bundle.name}` lists its results."
        )
    if not met.keys:
        raise UsageFault("There are no imported labels: import them with `nightread labels import FILE.csv`.")
    results = [
        Result(
            image_id=one.image_id,
            patient=one.patient_key,
            label=one.label,
            scores=one.scores,
            truth=one.truth,
        )
        for one in found
    ]
    predictions, unusable = predictions_with_truth(bundle.postprocessing, results)
    if not len(predictions.truth):
        raise UsageFault(
            f"{name}: {counted(met.analysed, 'image')} analysed, none with an imported label that the model knows "
            f"({', '.join(bundle.labels)}); {len(found):,} with other labels. Import labels that the model knows."
        )
    remark = f"{name}: {counted(met.analysed, 'image')} analysed, {len(predictions.truth):,} with imported labels"
    if unusable:
        remark += (
            f"; {counted(len(unusable), 'image')} left out, because the model does not know the imported labels of the "
            "image, or these labels contradict each other"
        )
    if met.unchecked:
        remark += (
            f". {met.unchecked:,} of all results were made with --any-domain: it was not checked whether the model was "
            "made for these images"
        )
    patients = predictions.patients
    return NightResults(
        predictions=predictions,
        material=Material(
            reference=name,
            part="production",
            split="none",
            images=len(predictions.truth),
            frames=len(predictions.truth),
            patients=None if patients is None else len(set(patients.tolist())),
        ),
        remark=remark,
        folder=Path(f"{bundle.name}-{name.replace(' ', '-')}"),
    )


def _span(settings: Settings, night: str) -> tuple[str, datetime | None, datetime | None]:
    if night == ALL_NIGHTS:
        return "all nights", None, None
    nights = nights_of(settings)
    evening = evening_named(night, nights)
    since, until = nights.bounds(evening)
    return f"night {evening}", since, until
