"""What became of the images of one batch."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlalchemy.exc import SQLAlchemyError

from db.ledger import Claimed, FurtherPrediction, Hints, Members, Outcome
from db.tables import FINAL, State
from imaging.dicom_image import DicomImage
from imaging.errors import RejectScan
from imaging.facts import NO_FACTS, Facts
from models.routing import RouteMatch
from nightread.errors import FateError, RejectImage
from nightread.reasons import Reason
from nightread.sources import ARCHIVES
from worker.answers import Answers, Said
from worker.companions import companion_of, hints_of_header
from worker.decode import stop_timers
from worker.desk import Desk
from worker.errors import BatchError
from worker.expand import Unrecorded
from worker.fates import outcome_of_error
from worker.fetch import Fetched
from worker.prepared_image import Reading


class Results:
    """One outcome per image, gathered in whatever order the images meet their fate."""

    def __init__(self, desk: Desk, images: Sequence[Claimed]) -> None:
        self._desk = desk
        self._images = images
        self._outcomes: dict[int, Outcome] = {}
        self._facts: dict[int, Facts] = {}
        self._hints: dict[int, Hints] = {}
        self.unrecorded: Unrecorded = defaultdict(list)

    @property
    def outcomes(self) -> list[Outcome]:
        """One for each image of the batch, in its order. Raises KeyError for an image that was forgotten."""
        return [self._outcomes[image.work_id] for image in self._images]

    def fate_of(self, image: Claimed, file: Fetched | None = None) -> "_Fate":
        """Whatever is raised inside decides over this image and no other, but for what ends the whole batch."""
        return _Fate(self, image, file)

    def keep_header(self, image: Claimed, scan: DicomImage) -> None:
        """What the header told, should the pixels turn out to be bad."""
        self._facts[image.work_id] = scan.facts
        if hints := hints_of_header(scan):
            self._hints[image.work_id] = hints

    def add_error(self, image: Claimed, error: Exception, file: Fetched | None = None) -> None:
        """The image ends, or is tried again, as the error says."""
        if isinstance(error, RejectScan) and file:
            error = companion_of(error, file.data, member=image.source == ARCHIVES) or error
        facts = getattr(error, "facts", None) or self._facts.get(image.work_id, NO_FACTS)
        outcome = outcome_of_error(
            image, error, file=file, facts=facts, settings=self._desk.settings, now=self._desk.clock()
        )
        hints = getattr(error, "hints", None) or self._hints.get(image.work_id)
        self._outcomes[image.work_id] = outcome._replace(hints=hints)

    def add_expanded(self, image: Claimed, file: Fetched, members: Members) -> None:
        """The file is an archive, and these came out of it."""
        files = len(members.arrivals)
        detail = f"{files:,} {'file' if files == 1 else 'files'} came out of it."
        hints = Hints(members=members)
        self._outcomes[image.work_id] = _outcome(image, file, State.EXPANDED, detail=detail, hints=hints)

    def add_duplicate(self, image: Claimed, file: Fetched, original: int) -> None:
        """The bytes are those of `original`, which is done."""
        self._outcomes[image.work_id] = _outcome(image, file, State.DUPLICATE, duplicate_of=original)

    def add_answers(self, readings: Sequence[Reading], by_bundle: Mapping[str, Answers]) -> None:
        """Give each image its result: the prediction of its first match, and those of further matches beside it."""
        for reading in readings:
            answer, *others = reading.matches
            if answer.shadow:
                self.add_error(reading.image, RejectImage(Reason.NO_MODEL), reading.file)
                others = [*reading.matches]
            else:
                self._add_answer(reading, answer, by_bundle[answer.bundle][reading.image.work_id])
            if others:
                self._add_further(reading, others, by_bundle)

    def _add_answer(self, reading: Reading, match: RouteMatch, said: Said | FateError) -> None:
        if isinstance(said, FateError):
            self.add_error(reading.image, said, reading.file)
            return
        self._outcomes[reading.image.work_id] = _outcome(
            reading.image,
            reading.file,
            State.DONE,
            facts=reading.facts,
            bundle_id=self._desk.panel.readers[match.bundle].bundle_id,
            label=said.result.label,
            score=said.result.score,
            scores=said.result.scores,
            frames=said.frames,
            route_id=match.rule.route_id,
            matched=dict(match.matched) or None,
            hints=self._hints.get(reading.image.work_id),
        )

    def _add_further(self, reading: Reading, matches: Sequence[RouteMatch], by_bundle: Mapping[str, Answers]) -> None:
        """Only beside a final outcome: an image that is tried again will be seen by all of them again."""
        work_id = reading.image.work_id
        outcome = self._outcomes[work_id]
        if outcome.state in FINAL:
            further = tuple(self._further(match, by_bundle[match.bundle][work_id]) for match in matches)
            self._outcomes[work_id] = outcome._replace(further=further)

    def _further(self, match: RouteMatch, said: Said | FateError) -> FurtherPrediction:
        known = FurtherPrediction(
            bundle_id=self._desk.panel.readers[match.bundle].bundle_id,
            shadow=match.shadow,
            route_id=match.rule.route_id,
            matched=dict(match.matched) or None,
        )
        if isinstance(said, FateError):
            return replace(known, reason=said.reason)
        label, score, scores = said.result
        return replace(known, label=label, score=score, scores=scores, frames=said.frames)


class _Fate:
    """A context manager by hand: entered three times for each image, it costs a third of one by `contextmanager`."""

    __slots__ = ("_file", "_image", "_results")

    def __init__(self, results: Results, image: Claimed, file: Fetched | None) -> None:
        self._results = results
        self._image = image
        self._file = file

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> bool:
        if not isinstance(error, Exception) or isinstance(error, (BatchError, SQLAlchemyError)):
            return False
        stop_timers()
        self._results.add_error(self._image, error, self._file)
        return True


def _outcome(image: Claimed, file: Fetched, state: State, **values: object) -> Outcome:
    return Outcome(
        work_id=image.work_id,
        instance_id=image.instance_id,
        first=image.first,
        state=state,
        sha256=file.sha256,
        size=file.size,
        mtime_ns=file.mtime_ns,
        **values,  # type: ignore[arg-type]
    )
