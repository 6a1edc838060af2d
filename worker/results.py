"""What became of the images of one batch."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.exc import SQLAlchemyError

from db.ledger import Claimed, FramePrediction, Outcome
from db.tables import State
from imaging.facts import NO_FACTS, Facts
from models.verdict import ImageResult
from nightread.errors import FateError
from nightread.reasons import Reason
from worker.desk import Desk
from worker.errors import BatchError
from worker.fates import outcome_of_error
from worker.fetch import Fetched


class Results:
    """One outcome per image, gathered in whatever order the images meet their fate."""

    def __init__(self, desk: Desk, images: Sequence[Claimed]) -> None:
        self._desk = desk
        self._images = images
        self._outcomes: dict[int, Outcome] = {}
        self._facts: dict[int, Facts] = {}

    @property
    def outcomes(self) -> list[Outcome]:
        """One for each image of the batch, in its order. Raises KeyError for an image that was forgotten."""
        return [self._outcomes[image.work_id] for image in self._images]

    @contextmanager
    def fate_of(self, image: Claimed, file: Fetched | None = None) -> Iterator[None]:
        """Whatever is raised inside decides over this image and no other, but for what ends the whole batch."""
        try:
            yield
        except (BatchError, SQLAlchemyError):
            raise
        except Exception as error:  # noqa: BLE001 - one bad image must not cost its batch
            self.add_error(image, error, file)

    def keep_facts(self, image: Claimed, facts: Facts) -> None:
        """What the header told, should the pixels turn out to be bad."""
        self._facts[image.work_id] = facts

    def add_error(self, image: Claimed, error: Exception, file: Fetched | None = None) -> None:
        """The image ends, or is tried again, as the error says."""
        facts = getattr(error, "facts", None) or self._facts.get(image.work_id, NO_FACTS)
        self._outcomes[image.work_id] = outcome_of_error(
            image, error, file=file, facts=facts, settings=self._desk.settings, now=self._desk.clock()
        )

    def add_duplicate(self, image: Claimed, file: Fetched, original: int) -> None:
        """The bytes are those of `original`, which is done."""
        self._outcomes[image.work_id] = _outcome(image, file, State.DUPLICATE, duplicate_of=original)

    def add_scores(
        self,
        scans: Sequence[tuple[Claimed, Fetched, Facts]],
        scores: Mapping[int, NDArray[np.float32]],
        refused: Mapping[int, FateError],
    ) -> None:
        """The network's answer for each decoded image becomes its result; it `refused` those that do not fit."""
        for image, file, _ in scans:
            if image.work_id in refused:
                self.add_error(image, refused[image.work_id], file)
        scans = [scan for scan in scans if scan[0].work_id not in refused]
        single = [scan for scan in scans if len(scores[scan[0].work_id]) == 1]
        if single:
            stacked = np.concatenate([scores[image.work_id] for image, _, _ in single])
            found = self._desk.bundle.verdict.image_results(stacked)
            for (image, file, facts), result in zip(single, found, strict=True):
                self._add_result(image, file, facts, result, [result])
        for image, file, facts in scans:
            if len(scores[image.work_id]) > 1:
                self._add_multi_frame(image, file, facts, scores[image.work_id])

    def _add_multi_frame(self, image: Claimed, file: Fetched, facts: Facts, scores: NDArray[np.float32]) -> None:
        verdict = self._desk.bundle.verdict
        with self.fate_of(image, file):
            self._add_result(image, file, facts, verdict.image_result(scores), verdict.image_results(scores))

    def _add_result(
        self,
        image: Claimed,
        file: Fetched,
        facts: Facts,
        result: ImageResult | None,
        frames: Sequence[ImageResult | None],
    ) -> None:
        if result is None:
            self.add_error(image, FateError(Reason.BAD_SCORES), file)
            return
        self._outcomes[image.work_id] = _outcome(
            image,
            file,
            State.DONE,
            facts=facts,
            bundle_id=self._desk.bundle_id,
            label=result.label,
            score=result.score,
            scores=result.scores,
            frames=tuple(
                FramePrediction(frame=number, label=frame.label, score=frame.score, scores=frame.scores)
                for number, frame in enumerate(frames)
                if frame is not None
            ),
        )


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
