"""The outcomes of a batch are collected in any order, each with all of its values."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

import pytest
from ledger_driver import SettableClock, build_arrivals
from sqlalchemy.exc import OperationalError

from db.ledger import Annotations, Claimed, FramePrediction, Members, Outcome
from db.tables import State
from imaging.dicom_image import DicomImage
from imaging.errors import RejectDicomImage
from imaging.facts import NO_FACTS, Facts
from models.postprocessing import ImageResult
from models.routing import Condition, Role, RouteMatch, Rule
from nightread.errors import ImageError, RejectImage, RetryImage
from nightread.reasons import Reason
from nightread.settings import Settings, load_settings
from worker.context import WorkerContext
from worker.errors import BatchTakenError
from worker.fetching.files import Fetched
from worker.inference.predictions import ImagePrediction
from worker.prepared_image import ParsedImage
from worker.results import Results

NOW = SettableClock()()
FACTS = Facts(modality="CR", study_instance_uid="1.2")
FILE = Fetched(data=b"scan", sha256="f" * 64, size=4, mtime_ns=7)
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
    return Results(cast("WorkerContext", FakeContext()), images)


def outcome_of(results: Results) -> Outcome:
    (outcome,) = results.outcomes
    return outcome


def match(bundle: str, role: Role = Role.ANSWER, *, conditions: tuple[str, ...] = (), route_id: int = 0) -> RouteMatch:
    when = tuple(Condition.parse(text) for text in conditions)
    matched = {condition.field: condition.values[0] for condition in when}
    return RouteMatch(rule=Rule(bundle=bundle, role=role, when=when, route_id=route_id), matched=matched)


def prediction(label: str, score: float) -> ImagePrediction:
    scores = [1 - score, score]
    frame = FramePrediction(frame=0, label=label, score=score, scores=scores)
    return ImagePrediction(ImageResult(label, score, scores), (frame,))


def parsed(image: Claimed, *matches: RouteMatch) -> ParsedImage:
    return ParsedImage(image=image, file=FILE.without_data(), facts=FACTS, matches=matches)


def test_outcomes_have_the_order_of_the_batch() -> None:
    """However the images were analysed; an image without an outcome is an error of the program."""
    one, two = claimed(1), claimed(2)
    results = results_of(one, two)
    results.add_duplicate(two, FILE, 50)
    with pytest.raises(KeyError):
        _ = results.outcomes
    results.add_duplicate(one, FILE, 60)
    assert [(outcome.work_id, outcome.instance_id, outcome.duplicate_of) for outcome in results.outcomes] == [
        (1, 101, 60),
        (2, 102, 50),
    ]


def test_a_duplicate_names_its_original_and_its_own_bytes() -> None:
    """It has no result."""
    image = claimed(1)
    results = results_of(image)
    results.add_duplicate(image, FILE, 50)
    outcome = outcome_of(results)
    assert (outcome.state, outcome.duplicate_of) == (State.DUPLICATE, 50)
    assert (outcome.sha256, outcome.size, outcome.mtime_ns, outcome.score) == (FILE.sha256, 4, 7, None)


@pytest.mark.parametrize(
    ("files", "words"), [(0, "0 files were"), (1, "1 file was"), (2, "2 files were"), (1200, "1,200 files were")]
)
def test_an_archive_says_how_many_files_it_had(files: int, words: str) -> None:
    """Its members are registered with the outcome."""
    image, members = claimed(1), Members(source_id=3, arrivals=tuple(build_arrivals(files)))
    results = results_of(image)
    results.add_expanded(image, FILE, members)
    outcome = outcome_of(results)
    assert (outcome.state, outcome.detail) == (State.EXPANDED, f"{words} unpacked from the archive.")
    assert outcome.annotations == Annotations(members=members)
    assert outcome.sha256 == FILE.sha256


def test_an_answer_has_all_of_its_values() -> None:
    """The values of the header that the rule matched are stored with its id."""
    image = claimed(1)
    results = results_of(image)
    rule = match("answer@1", conditions=("modality=CR",), route_id=5)
    results.add_predictions([parsed(image, rule)], {"answer@1": {1: prediction("nodule", 0.75)}})
    outcome = outcome_of(results)
    assert (outcome.state, outcome.bundle_id, outcome.route_id) == (State.DONE, 11, 5)
    assert (outcome.label, outcome.score, outcome.scores) == ("nodule", 0.75, [0.25, 0.75])
    assert outcome.frames == (FramePrediction(frame=0, label="nodule", score=0.75, scores=[0.25, 0.75]),)
    assert (outcome.matched, outcome.facts, outcome.further) == ({"modality": "CR"}, FACTS, ())
    assert (outcome.sha256, outcome.annotations) == (FILE.sha256, None)


def test_a_rule_without_conditions_stores_no_values_of_the_header() -> None:
    """Neither with the answer nor with a further one."""
    image = claimed(1)
    results = results_of(image)
    predictions = {name: {1: prediction("nodule", 0.75)} for name in BUNDLE_IDS}
    results.add_predictions([parsed(image, match("answer@1"), match("further@1", Role.FURTHER))], predictions)
    outcome = outcome_of(results)
    assert (outcome.matched, outcome.further[0].matched) == (None, None)


def test_further_and_shadow_answers_are_stored_with_the_answer() -> None:
    """Each has its bundle, its rule and its role; one that failed has only its reason."""
    image = claimed(1)
    results = results_of(image)
    matches = (
        match("answer@1"),
        match("further@1", Role.FURTHER, conditions=("modality=CR",), route_id=8),
        match("shadow@1", Role.SHADOW, route_id=9),
    )
    predictions: dict[str, Any] = {
        "answer@1": {1: prediction("clear", 0.25)},
        "further@1": {1: prediction("nodule", 0.75)},
        "shadow@1": {1: ImageError(Reason.BAD_SCORES)},
    }
    results.add_predictions([parsed(image, *matches)], predictions)
    further, shadow = outcome_of(results).further
    assert (further.bundle_id, further.shadow, further.route_id, further.reason) == (12, False, 8, None)
    assert (further.label, further.score, further.scores) == ("nodule", 0.75, [0.25, 0.75])
    assert (further.matched, len(further.frames)) == ({"modality": "CR"}, 1)
    assert (shadow.bundle_id, shadow.shadow, shadow.route_id, shadow.reason) == (13, True, 9, Reason.BAD_SCORES)
    assert (shadow.label, shadow.score, shadow.scores, shadow.frames) == (None, None, None, ())


def test_an_image_that_only_shadow_rules_take_is_rejected_with_their_answers() -> None:
    """The first of them is no answer either."""
    image = claimed(1)
    results = results_of(image)
    matches = match("shadow@1", Role.SHADOW), match("further@1", Role.SHADOW)
    predictions = {name: {1: prediction("nodule", 0.75)} for name in ("shadow@1", "further@1")}
    results.add_predictions([parsed(image, *matches)], predictions)
    outcome = outcome_of(results)
    assert (outcome.state, outcome.reason, outcome.sha256) == (State.REJECTED, Reason.NO_MODEL, FILE.sha256)
    assert [(one.bundle_id, one.shadow) for one in outcome.further] == [(13, True), (12, True)]


def test_a_network_without_a_result_gives_its_image_the_error() -> None:
    """The further answers of a failed image are kept, and those of one that is tried again are not."""
    failed, again = claimed(1), claimed(2)
    results = results_of(failed, again)
    matches = match("answer@1"), match("further@1", Role.FURTHER)
    predictions: dict[str, Any] = {
        "answer@1": {1: ImageError(Reason.BAD_SCORES), 2: RetryImage(Reason.OUT_OF_MEMORY)},
        "further@1": {1: prediction("nodule", 0.75), 2: prediction("nodule", 0.75)},
    }
    results.add_predictions([parsed(failed, *matches), parsed(again, *matches)], predictions)
    first, second = results.outcomes
    assert (first.state, first.reason, len(first.further)) == (State.FAILED, Reason.BAD_SCORES, 1)
    assert (first.sha256, first.bundle_id, first.score) == (FILE.sha256, None, None)
    assert (second.state, second.reason, second.further) == (State.RECEIVED, Reason.OUT_OF_MEMORY, ())


def test_an_exception_becomes_the_outcome_of_its_image() -> None:
    """With the digest of its file, if that was read."""
    read, unread = claimed(1), claimed(2)
    results = results_of(read, unread)
    with results.capture_errors(read, FILE):
        raise RejectImage(Reason.BAD_PIXELS, "Frame 3 is damaged.")
    with results.capture_errors(unread):
        raise RejectImage(Reason.NOT_DICOM)
    first, second = results.outcomes
    assert (first.state, first.reason, first.detail) == (State.REJECTED, Reason.BAD_PIXELS, "Frame 3 is damaged.")
    assert (first.sha256, second.sha256, second.reason) == (FILE.sha256, None, Reason.NOT_DICOM)


def test_without_an_exception_there_is_no_outcome() -> None:
    """The context manager adds nothing by itself."""
    results = results_of(claimed(1))
    with results.capture_errors(claimed(1), FILE):
        pass
    with pytest.raises(KeyError):
        _ = results.outcomes


@pytest.mark.parametrize(
    "error", [BatchTakenError(), OperationalError("", None, Exception()), KeyboardInterrupt(), SystemExit()]
)
def test_errors_of_the_whole_batch_are_no_outcome_of_an_image(error: BaseException) -> None:
    """They pass, and the image has no outcome."""
    results = results_of(claimed(1))
    with pytest.raises(type(error)), results.capture_errors(claimed(1), FILE):
        raise error
    with pytest.raises(KeyError):
        _ = results.outcomes


@dataclass
class Header:
    """A header that was parsed before the error."""

    facts: Facts = FACTS
    elements: None = None


def test_the_facts_of_a_header_are_recorded_even_if_the_pixels_are_bad() -> None:
    """The facts of the error itself go first; an image without any header has none."""
    own, known, unknown = claimed(1), claimed(2), claimed(3)
    results = results_of(own, known, unknown)
    for image in (own, known):
        results.keep_header(image, cast("DicomImage", Header()))
    results.add_error(own, RejectDicomImage(Reason.BAD_PIXELS, facts=Facts(modality="MR")), FILE)
    results.add_error(known, RejectImage(Reason.BAD_PIXELS), FILE)
    results.add_error(unknown, RejectImage(Reason.BAD_PIXELS), FILE)
    assert [outcome.facts for outcome in results.outcomes] == [Facts(modality="MR"), FACTS, NO_FACTS]
    assert [outcome.annotations for outcome in results.outcomes] == [None] * 3


@pytest.mark.parametrize(
    ("source", "file", "reason"),
    [
        ("archives", FILE, Reason.MEDIA_FILE),
        ("inbox", FILE, Reason.NOT_DICOM),
        ("archives", None, Reason.NOT_DICOM),
    ],
    ids=["member of an archive", "file of a folder", "file that was not read"],
)
def test_a_file_of_a_cd_is_no_defect_in_an_archive_only(source: str, file: Fetched | None, reason: Reason) -> None:
    """Viewers and previews are normal there."""
    image = claimed(1, source=source)
    results = results_of(image)
    results.add_error(image, RejectDicomImage(Reason.NOT_DICOM, facts=FACTS), file)
    assert (outcome_of(results).reason, outcome_of(results).facts) == (reason, FACTS)


def test_only_a_rejected_file_may_be_a_sidecar() -> None:
    """An error of another kind keeps its reason, also in an archive."""
    image = claimed(1, source="archives")
    results = results_of(image)
    results.add_error(image, ImageError(Reason.TIMEOUT), FILE)
    assert outcome_of(results).reason is Reason.TIMEOUT
