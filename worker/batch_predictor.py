"""Predict the images of one batch with every network that their routes name."""

from collections.abc import Iterable

from nightread.errors import RejectImage
from nightread.reasons import Reason
from worker.answers import Answers, answers_of
from worker.desk import Desk
from worker.phase_timer import PhaseTimer
from worker.prepared_image import PreparedImage, Reading
from worker.results import Results
from worker.scoreboard import Scoreboard


class BatchPredictor:
    """Hands prepared frames to the networks, which score frames of many images together."""

    def __init__(self, desk: Desk, batch_id: str, results: Results, timer: PhaseTimer) -> None:
        self._desk = desk
        self._batch_id = batch_id
        self._results = results
        self._boards = {
            bundle: Scoreboard(reader.predictor, desk.ahead, on_trial=desk.panel.on_trial(bundle), timer=timer)
            for bundle, reader in desk.panel.readers.items()
        }
        self._readings: list[Reading] = []

    def add(self, images: Iterable[PreparedImage]) -> None:
        """Hand over all frames of these images; one that fails on the way gets its outcome. Raises BatchError."""
        for prepared in images:
            reading = prepared.reading
            with self._results.fate_of(reading.image, reading.file):
                self._add(prepared)
                self._readings.append(reading)

    def finish(self) -> None:
        """Turn all scores into the outcomes of their images. Raises NetworkBrokenError."""
        readers = self._desk.panel.readers
        answers: dict[str, Answers] = {
            bundle: answers_of(readers[bundle].bundle.verdict, board) for bundle, board in self._boards.items()
        }
        self._results.add_answers(self._readings, answers)

    def _add(self, prepared: PreparedImage) -> None:
        """The lease is renewed after each chunk of frames."""
        reading, spec_of, chunks, _ = prepared
        if not reading.matches:
            raise RejectImage(Reason.NO_MODEL)
        for inputs in chunks:
            for match, spec in zip(reading.matches, spec_of, strict=True):
                self._boards[match.bundle].add(reading.image.work_id, inputs[spec])
            self._desk.keep_lease(self._batch_id)
