"""Record slices of series in a ledger, and form them with a bundle of unit `series`, without files and networks."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ledger_driver import LedgerDriver, build_arrivals, build_outcome
from worker_driver import BUNDLE, FakeNetwork, WorkerDriver

from db import ledger, queries
from db.ledger import Claimed, FramePrediction, Outcome
from db.queries import Series
from db.tables import State
from imaging.facts import Facts
from models.bundle import Bundle
from models.routing import Rule, Rules
from models.series.spec import SeriesSpec
from worker.context import WorkerContext
from worker.inference.model_set import LoadedModel, ModelSet
from worker.inference.predictor import Predictor
from worker.series.form import form_due_series

STUDY, SERIES = "1.2.3", "1.2.3.4"
HIGHEST = SeriesSpec(aggregate="max")


def geometry(place: float, **others: Any) -> str:
    """Return the stored geometry of one axial slice at this position in mm."""
    known = {"position": [0.0, 0.0, place], "orientation": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]}
    attributes = others.pop("attributes", {})
    return json.dumps([{**known, "instance_number": round(place), **others, "attributes": attributes}])


def series_bundle(spec: SeriesSpec = HIGHEST, name: str = "series") -> Bundle:
    """Return a bundle with the labels clear and nodule whose unit is the series."""
    return replace(BUNDLE, name=name, series=spec, digest=name.ljust(64, "0"))


@dataclass(kw_only=True)
class SeriesDriver:
    """Series in one database, with one bundle."""

    ledger_driver: LedgerDriver
    folder: Path
    bundle: Bundle = field(default_factory=series_bundle)
    bundle_id: int = 0

    def __post_init__(self) -> None:
        """Register the bundle."""
        postprocessing = self.bundle.postprocessing
        self.bundle_id = ledger.register_bundle(
            self.ledger_driver.database,
            name=self.bundle.name,
            version=self.bundle.version,
            digest=self.bundle.digest,
            labels=postprocessing.labels,
            normal_label=postprocessing.normal_label,
            of_series=True,
            now=self.ledger_driver.clock(),
        )

    def record(
        self,
        places: Sequence[float],
        scores: Sequence[float] | None = None,
        *,
        series: str = SERIES,
        study: str | None = STUDY,
        **fields: Any,
    ) -> list[int]:
        """Register and record one slice for each place in mm, with these scores of `nodule` (0.1 without)."""
        self.ledger_driver.register(build_arrivals(len(places)))
        found: list[int] = []
        todo = list(zip(places, scores or [0.1] * len(places), strict=True))
        for batch in self.ledger_driver.form():
            claimed = self.ledger_driver.claim(batch)
            outcomes = [self.outcome(each, *todo.pop(0), series=series, study=study, **fields) for each in claimed]
            self.ledger_driver.record(batch, outcomes)
            found += [each.instance_id for each in claimed]
        return found

    def outcome(
        self, image: Claimed, place: float, score: float, *, series: str, study: str | None, **fields: Any
    ) -> Outcome:
        """Build the outcome of one slice; `facts` adds to its facts, and `slice_geometry` to its geometry."""
        known: dict[str, Any] = {
            "sop_instance_uid": f"{series}.{image.instance_id}",
            "series_instance_uid": series,
            "study_instance_uid": study,
            "sop_class_uid": "1.2.840.10008.5.1.4.1.1.2",
            "modality": "CT",
            "rows": 64,
            "columns": 64,
            "frames": 1,
            "geometry": geometry(place, **fields.pop("slice_geometry", {})),
        }
        facts = Facts(**known | fields.pop("facts", {}))
        result: dict[str, Any] = {"facts": facts}
        if fields.get("state", State.DONE) is State.DONE:
            label = "nodule" if score >= 0.5 else "clear"
            scores = [1 - score, score]
            frame = FramePrediction(frame=0, label=label, score=max(scores), scores=scores)
            result |= {"bundle_id": self.bundle_id, "label": label, "score": max(scores), "scores": scores}
            result["frames"] = (frame,)
        return build_outcome(image, **result | fields)

    def context(self, **options: Any) -> WorkerContext:
        """Return the context of a worker process that has the bundle loaded."""
        folder = self.folder / "worker"
        folder.mkdir(exist_ok=True)
        inbox = folder / "inbox"
        if inbox.exists():
            inbox.rmdir()
        model = LoadedModel(predictor=Predictor(self.bundle, FakeNetwork()), bundle_id=self.bundle_id)
        models = ModelSet(Rules([Rule(bundle=self.bundle.reference)]), {self.bundle.reference: model})
        driver = WorkerDriver(
            ledger_driver=self.ledger_driver, folder=folder, redis_url="redis://127.0.0.1:1", bundle_id=self.bundle_id
        )
        return driver.context(model_set=models, model=self.bundle.reference, **options)

    def form(self) -> list[Series]:
        """Let all series be formed now, and return the results, the first stack first."""
        ledger.mark_all_due(self.ledger_driver.database)
        form_due_series(self.context())
        return self.results()

    def results(self) -> list[Series]:
        """Return what is known of all series."""
        return list(queries.series_list(self.ledger_driver.database))
