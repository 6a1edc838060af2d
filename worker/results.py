"""Collect the outcomes of the images of one batch."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError

from db.ledger import Annotations, Claimed, FurtherPrediction, Members, Outcome, opted_out
from db.tables import FINAL, State
from imaging.dicom_image import DicomImage
from imaging.errors import RejectDicomImage
from imaging.facts import NO_FACTS, Facts
from imaging.remarks import Remark, Remarks
from imaging.stored_geometry import geometry_of_damaged
from models.routing import RouteMatch
from nightread.errors import ImageError, RejectImage
from nightread.reasons import Reason
from nightread.sources import ARCHIVES
from worker.archives.expand import Unrecorded
from worker.context import WorkerContext
from worker.decode import stop_timers
from worker.error_outcomes import outcome_of_error
from worker.errors import BatchError
from worker.fetching.files import Fetched
from worker.inference.predictions import ImagePrediction, Predictions
from worker.prepared_image import ParsedImage
from worker.series.hold import HoldSlice
from worker.sidecars.sidecar import header_annotations, sidecar_of


class Results:
    """Collects one outcome per image, in any order."""

    def __init__(self, context: WorkerContext, images: Sequence[Claimed]) -> None:
        self._context = context
        self._images = images
        self._outcomes: dict[int, Outcome] = {}
        self._facts: dict[int, Facts] = {}
        self._annotations: dict[int, Annotations] = {}
        self.unrecorded: Unrecorded = defaultdict(list)

    @property
    def outcomes(self) -> list[Outcome]:
        """Return the outcomes, one per image, in the order of the batch. Raises KeyError if an image has no outcome."""
        return [self._outcomes[image.work_id] for image in self._images]

    def capture_errors(self, image: Claimed, file: Fetched | None = None) -> "_ErrorCapture":
        """Return a context manager that turns an exception raised inside it into the outcome of this image.

        It lets BatchError and SQLAlchemyError pass, because they concern the whole batch.
        """
        return _ErrorCapture(self, image, file)

    def keep_header(self, image: Claimed, dicom_image: DicomImage) -> None:
        """Keep the header facts and annotations, so that they are recorded even if the pixels cannot be decoded.

        Raises RejectImage if the patient opted out; then nothing of the header is kept.
        """
        self.keep_facts(image, dicom_image.facts, header_annotations(dicom_image))

    def keep_facts(self, image: Claimed, facts: Facts, annotations: Annotations | None) -> None:
        """Keep these facts and annotations. Raises RejectImage like `keep_header`."""
        if self._context.patient.has_opted_out(facts.patient_key):
            raise RejectImage(Reason.OPTED_OUT)
        self._facts[image.work_id] = facts
        if annotations:
            self._annotations[image.work_id] = annotations

    def add_error(self, image: Claimed, error: Exception, file: Fetched | None = None) -> None:
        """Give the image the outcome of this error: rejected, failed, or received again for a retry.

        A file that is not an image may still be a sidecar; then it gets the reason and annotations of a sidecar.
        """
        if isinstance(error, RejectDicomImage) and file:
            error = sidecar_of(error, file.data, member=image.source == ARCHIVES) or error
        facts = getattr(error, "facts", None) or self._facts.get(image.work_id, NO_FACTS)
        if file and facts.series_instance_uid and not facts.geometry and self._context.model_set.of_series:
            facts = facts._replace(geometry=geometry_of_damaged(file.data, self._context.limits))
        if self._context.patient.has_opted_out(facts.patient_key):
            error = RejectImage(Reason.OPTED_OUT)
        if isinstance(error, RejectImage) and error.reason is Reason.OPTED_OUT:
            self._outcomes[image.work_id] = opted_out(image.work_id, image.instance_id)
            return
        if isinstance(error, HoldSlice) and file:
            self._outcomes[image.work_id] = self._held(image, file, facts, error)
            return
        outcome = outcome_of_error(
            image, error, file=file, facts=facts, settings=self._context.settings, now=self._context.clock()
        )
        annotations = getattr(error, "annotations", None) or self._annotations.get(image.work_id)
        self._outcomes[image.work_id] = outcome._replace(annotations=annotations)

    def _held(self, image: Claimed, file: Fetched, facts: Facts, error: HoldSlice) -> Outcome:
        """Return the outcome of a slice that waits: it is read again as soon as its series is put in order.

        If the series is not put in order, the slice is read again at the time `not_before`.
        """
        settings, now = self._context.settings, self._context.clock()
        values = {"reason": error.reason, "detail": error.detail, "facts": facts, "uncounted": True}
        later = now + timedelta(seconds=settings.retry_cap_seconds)
        return _outcome(image, file, State.RECEIVED, not_before=later, **values)

    def add_expanded(self, image: Claimed, file: Fetched, members: Members) -> None:
        """Give an archive the outcome `expanded`, with the members that were unpacked from it."""
        files = len(members.arrivals)
        detail = f"{files:,} {'file was' if files == 1 else 'files were'} unpacked from the archive."
        annotations = Annotations(members=members)
        self._outcomes[image.work_id] = _outcome(image, file, State.EXPANDED, detail=detail, annotations=annotations)

    def add_duplicate(self, image: Claimed, file: Fetched, original: int) -> None:
        """Give the image the outcome `duplicate`: the instance with the id `original` has the same bytes."""
        self._outcomes[image.work_id] = _outcome(image, file, State.DUPLICATE, duplicate_of=original)

    def add_predictions(self, parsed_images: Sequence[ParsedImage], by_bundle: Mapping[str, Predictions]) -> None:
        """Give each image the prediction of its first match as result; store the predictions of its other matches, too.

        An image that only shadow rules take is rejected with `no_model`; the shadow predictions are stored.
        """
        for parsed in parsed_images:
            answer, *others = parsed.matches
            if answer.shadow:
                self.add_error(parsed.image, RejectImage(Reason.NO_MODEL), parsed.file)
                others = [*parsed.matches]
            else:
                self._add_answer(parsed, answer, _prediction(parsed, answer, by_bundle))
            if others:
                self._add_further(parsed, others, by_bundle)

    def _add_answer(self, parsed: ParsedImage, match: RouteMatch, prediction: ImagePrediction | ImageError) -> None:
        if isinstance(prediction, ImageError):
            self.add_error(parsed.image, prediction, parsed.file)
            return
        remarks = _remarks(parsed, match, prediction)
        self._outcomes[parsed.image.work_id] = _outcome(
            parsed.image,
            parsed.file,
            State.DONE,
            facts=parsed.facts,
            bundle_id=self._context.model_set.models[match.bundle].bundle_id,
            label=prediction.result.label,
            score=prediction.result.score,
            scores=prediction.result.scores,
            frames=prediction.frames,
            route_id=match.rule.route_id,
            matched=dict(match.matched) or None,
            remarks=remarks.words,
            intensities=prediction.intensities,
            detail=remarks.detail,
            annotations=self._annotations.get(parsed.image.work_id),
        )

    def _add_further(
        self, parsed: ParsedImage, matches: Sequence[RouteMatch], by_bundle: Mapping[str, Predictions]
    ) -> None:
        """Store further predictions only if the outcome is final: a retry runs all networks on the image again."""
        work_id = parsed.image.work_id
        outcome = self._outcomes[work_id]
        if outcome.state in FINAL:
            further = tuple(self._further(parsed, match, _prediction(parsed, match, by_bundle)) for match in matches)
            self._outcomes[work_id] = outcome._replace(further=further)

    def _further(
        self, parsed: ParsedImage, match: RouteMatch, prediction: ImagePrediction | ImageError
    ) -> FurtherPrediction:
        known = FurtherPrediction(
            bundle_id=self._context.model_set.models[match.bundle].bundle_id,
            shadow=match.shadow,
            route_id=match.rule.route_id,
            matched=dict(match.matched) or None,
        )
        if isinstance(prediction, ImageError):
            return replace(known, reason=prediction.reason, detail=prediction.detail)
        label, score, scores = prediction.result
        remarks = _remarks(parsed, match, prediction)
        return replace(
            known,
            label=label,
            score=score,
            scores=scores,
            frames=prediction.frames,
            remarks=remarks.words,
            intensities=prediction.intensities,
            detail=remarks.detail,
        )


class _ErrorCapture:
    """The context manager of Results.capture_errors.

    It is a class, because it is entered three times per image, and `contextlib.contextmanager` takes three times as
    long.
    """

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


def _prediction(
    parsed: ParsedImage, match: RouteMatch, by_bundle: Mapping[str, Predictions]
) -> ImagePrediction | ImageError:
    """Return the prediction of the network of this match, or the reason why it has no result for the image."""
    return parsed.refused.get(match.bundle) or by_bundle[match.bundle][parsed.image.work_id]


def _remarks(parsed: ParsedImage, match: RouteMatch, prediction: ImagePrediction) -> Remarks:
    """Return the remarks on the image, followed by the remarks on the input of this model."""
    own = parsed.model_remarks.get(match.bundle)
    remarks = parsed.remarks.with_all(own) if own else parsed.remarks
    return remarks.plus(Remark.NEAR_DOMAIN_EDGE) if prediction.near_edge else remarks


def _outcome(image: Claimed, file: Fetched, state: State, **values: object) -> Outcome:
    return Outcome(
        work_id=image.work_id,
        instance_id=image.instance_id,
        state=state,
        content=file.content,
        size=file.size,
        mtime_ns=file.mtime_ns,
        **values,  # type: ignore[arg-type]
    )
