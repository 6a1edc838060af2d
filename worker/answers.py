"""From the scores of one network to what it says of each image."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from db.ledger import FramePrediction
from models.verdict import ImageResult, Verdict
from nightread.errors import FateError
from nightread.reasons import Reason
from worker.predict import Scores
from worker.scoreboard import Scoreboard


class Said(NamedTuple):
    """What one network says of one image."""

    result: ImageResult
    frames: tuple[FramePrediction, ...]


Answers = dict[int, Said | FateError]
"""By row of work; an error where the network has no answer."""


def answers_of(verdict: Verdict, board: Scoreboard) -> Answers:
    """What the network whose scores these are says of every image it was given. Raises NetworkBrokenError."""
    scores = board.finish()
    single = [work_id for work_id, of_frames in scores.items() if len(of_frames) == 1]
    answers: Answers = dict(board.refused)
    if single:
        results = verdict.image_results(np.concatenate([scores[work_id] for work_id in single]))
        answers.update((work_id, _said(result, [result])) for work_id, result in zip(single, results, strict=True))
    answers.update(
        (work_id, _of_many_frames(verdict, of_frames)) for work_id, of_frames in scores.items() if len(of_frames) > 1
    )
    return answers


def _of_many_frames(verdict: Verdict, scores: Scores) -> Said | FateError:
    try:
        return _said(verdict.image_result(scores), verdict.image_results(scores))
    except FateError as error:
        return error


def _said(result: ImageResult | None, frames: Sequence[ImageResult | None]) -> Said | FateError:
    return FateError(Reason.BAD_SCORES) if result is None else Said(result, tuple(_predictions(frames)))


def _predictions(frames: Iterable[ImageResult | None]) -> Iterable[FramePrediction]:
    for number, frame in enumerate(frames):
        if frame is not None:
            yield FramePrediction(frame=number, label=frame.label, score=frame.score, scores=frame.scores)
