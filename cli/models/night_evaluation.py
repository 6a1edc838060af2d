"""How good a network was in production: its results of a night beside what turned out to be true."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cli.inputs.existing_database import one_line_errors, open_existing_database
from cli.inputs.nights import evening_named, nights_of
from db import queries
from models.bundle import Bundle
from models.evaluation.page import Material
from models.evaluation.predictions import Predictions
from models.evaluation.production import Result, predictions_with_truth
from nightread.errors import UsageFault
from nightread.settings import Settings

ALL_NIGHTS = "all"


@dataclass(frozen=True, kw_only=True)
class NightResults:
    """What the record holds of one bundle and one night."""

    predictions: Predictions
    material: Material
    remark: str
    """How many results have a truth, for people."""
    folder: Path
    """Where the page goes unless somebody says otherwise."""


def night_results(bundle: Bundle, settings: Settings, night: str) -> NightResults:
    """Results of the bundle for images that arrived in this night and whose truth was imported.

    `night` is a date, `last`, or `all`. Raises UsageFault where there is nothing to compare.
    """
    name, since, until = _span(settings, night)
    with open_existing_database(settings) as database, one_line_errors():
        met = queries.coverage(database, bundle.digest, since=since, until=until)
        found = queries.results_with_truth(database, bundle.digest, since=since, until=until)
    if not met.analysed:
        raise UsageFault(f"{bundle.reference} has no results of {name}: `nightread query --model {bundle.name}`.")
    if not met.keys:
        raise UsageFault("Nothing is known of any image yet: `nightread labels import FILE.csv` first.")
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
            f"Of {met.analysed:,} images of {name} none has a truth that speaks of {', '.join(bundle.labels)}: "
            f"{len(found):,} have other labels. Import labels under these names."
        )
    remark = f"{name}: {met.analysed:,} images analysed, {len(predictions.truth):,} with a truth"
    if unusable:
        remark += f"; {len(unusable):,} whose labels are none of the model's, or contradict each other, are left out"
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
