"""Predict the images of one batch with every network to which the routing rules send them."""

from collections.abc import Iterable

from nightread.errors import RejectImage
from nightread.reasons import Reason
from worker.context import WorkerContext
from worker.inference.micro_batcher import MicroBatcher
from worker.inference.predictions import Predictions, collect_predictions
from worker.phase_timer import PhaseTimer
from worker.prepared_image import ParsedImage, PreparedImage
from worker.results import Results


class BatchPredictor:
    """Passes prepared frames to one MicroBatcher per network, which scores frames of many images together."""

    def __init__(self, context: WorkerContext, batch_id: str, results: Results, timer: PhaseTimer) -> None:
        self._context = context
        self._batch_id = batch_id
        self._results = results
        self._batchers = {
            bundle: MicroBatcher(
                model.predictor,
                context.network_thread,
                is_shadow=context.model_set.is_shadow(bundle),
                timer=timer,
                input_range=None if context.settings.any_domain else model.input_range,
            )
            for bundle, model in context.model_set.models.items()
        }
        self._parsed_images: list[ParsedImage] = []

    def add(self, images: Iterable[PreparedImage]) -> None:
        """Pass the frames of these images to the networks. An image that fails gets its outcome. Raises BatchError."""
        for prepared in images:
            parsed = prepared.parsed
            with self._results.capture_errors(parsed.image, parsed.file):
                self._add(prepared)
                self._parsed_images.append(parsed)

    def finish(self) -> None:
        """Score the remaining frames and turn all scores into outcomes of their images. Raises NetworkBrokenError."""
        models = self._context.model_set.models
        predictions: dict[str, Predictions] = {
            bundle: collect_predictions(models[bundle].bundle.postprocessing, batcher)
            for bundle, batcher in self._batchers.items()
        }
        self._results.add_predictions(self._parsed_images, predictions)

    def _add(self, prepared: PreparedImage) -> None:
        """Pass each chunk of frames to all networks of the image, and renew the lease after each chunk.

        Raises RejectImage(no_model) if no rule takes the image.
        """
        parsed, targets, chunks, _ = prepared
        if not parsed.matches:
            raise RejectImage(Reason.NO_MODEL)
        for inputs in chunks if targets else ():
            for bundle, spec in targets:
                if bundle not in parsed.refused:  # scores of earlier frames are not used
                    self._batchers[bundle].add(parsed.image.work_id, inputs[spec])
            self._context.keep_lease(self._batch_id)
