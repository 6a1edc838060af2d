"""Build results of a batch, and the images and predictions that they collect."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

from ledger_driver import SettableClock

from db.ledger import Claimed, FramePrediction, Outcome
from imaging.facts import Facts
from imaging.patient import PatientHasher
from imaging.remarks import Remarks
from models.postprocessing import ImageResult
from models.routing import Condition, Role, RouteMatch, Rule
from nightread.settings import Settings, load_settings
from worker.context import WorkerContext
from worker.fetching.files import Fetched
from worker.inference.predictions import ImagePrediction
from worker.prepared_image import ParsedImage
from worker.results import Results

NOW = SettableClock()()
FACTS = Facts(modality="CR", study_instance_uid="1.2")
FILE = Fetched(data=b"scan", content="f" * 64, size=4, mtime_ns=7)
BUNDLE_IDS = {"answer@1": 11, "further@1": 12, "shadow@1": 13}


@dataclass
class LoadedModels:
    """The ids of bundles, as a ModelSet has them."""

    @dataclass
    class Model:
        """One loaded bundle."""

        bundle_id: int

    models: dict[str, Model] = field(
        default_factory=lambda: {name: LoadedModels.Model(number) for name, number in BUNDLE_IDS.items()}
    )


@dataclass
class FakeContext:
    """What results need of a WorkerContext."""

    settings: Settings = field(default_factory=lambda: load_settings(None, retry_limit=3))
    model_set: LoadedModels = field(default_factory=LoadedModels)
    clock: SettableClock = field(default_factory=SettableClock)
    patient: PatientHasher = field(default_factory=lambda: PatientHasher(b"a key for tests"))


def claimed(number: int, **fields: Any) -> Claimed:
    """Return a claimed image whose ids differ from each other."""
    values: dict[str, Any] = {
        "work_id": number,
        "instance_id": number + 100,
        "source": "inbox",
        "root": "/inbox",
        "uri": f"{number}.dcm",
        "size": 4,
        "mtime_ns": 7,
        "attempts": 1,
        "alone": False,
        "arrived_at": NOW - timedelta(hours=1),
        "tried_since": NOW,
        "marked": False,
        "origin": "inbox",
    }
    return Claimed(**values | fields)


def results_of(*images: Claimed) -> Results:
    """Return results of a batch of these images, without any outcome."""
    return Results(cast("WorkerContext", FakeContext()), images)


def outcome_of(results: Results) -> Outcome:
    """Return the outcome of the only image."""
    (outcome,) = results.outcomes
    return outcome


def match(bundle: str, role: Role = Role.ANSWER, *, conditions: tuple[str, ...] = (), route_id: int = 0) -> RouteMatch:
    """Return the match of a rule, with the first value of each of its conditions."""
    when = tuple(Condition.parse(text) for text in conditions)
    matched = {condition.field: condition.values[0] for condition in when}
    return RouteMatch(rule=Rule(bundle=bundle, role=role, when=when, route_id=route_id), matched=matched)


def prediction(label: str, score: float, *, near_edge: bool = False) -> ImagePrediction:
    """Return the prediction of one frame."""
    scores = [1 - score, score]
    frame = FramePrediction(frame=0, label=label, score=score, scores=scores)
    return ImagePrediction(ImageResult(label, score, scores), (frame,), near_edge)


def parsed(image: Claimed, *matches: RouteMatch) -> ParsedImage:
    """Return an image whose header was parsed, without remarks."""
    return ParsedImage(image, FILE.without_data(), FACTS, matches, {}, Remarks())
