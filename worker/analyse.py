"""Analyse one batch: claim, read, deduplicate, predict, record.

ImageReader reads the images in parts, so that memory is bounded. BatchPredictor scores the frames of the images whose
bytes are new. Results collects the outcome of each image; all outcomes are recorded at the end, in one transaction.
worker.rerunning analyses the images of a re-run.
"""

from collections.abc import Sequence

from db import ledger
from db.ledger import Claimed
from nightread import __version__
from worker.archives.discard import discard_rejected
from worker.batch_predictor import BatchPredictor
from worker.batch_summary import BatchResult, summarize
from worker.context import WorkerContext
from worker.fetching.prefetch import Prefetcher
from worker.lifecycle.requeue import requeue_dead_sibling
from worker.phase_timer import PhaseTimer
from worker.prepared_image import PreparedImage
from worker.reading import ImageReader
from worker.rerunning import analyse_again
from worker.results import Results
from worker.series.reading_order import in_reading_order

PHASES = ("claim", "read", "look_up", "predict")
"""The phases of a batch whose seconds are stored; a phase that did not run has 0 seconds."""


def analyse(context: WorkerContext, batch_id: str) -> BatchResult:
    """Give every image of the batch its outcome, and return how many images had which outcome.

    The result is empty if this process could not claim the batch. If it raises BatchError, no outcome was recorded.
    """
    timer = PhaseTimer(phases=PHASES)
    try:
        with timer.phase("claim"):
            images = _claim(context, batch_id)
        if not images:
            return BatchResult()
        if images[0].rerun_bundle_id is not None:
            return analyse_again(context, batch_id, images, timer)
        results = Results(context, images)
        ordered = in_reading_order(context, images)
        with timer.phase("read"), Prefetcher(ordered, context.stores) as prefetcher:
            reader = ImageReader(context, batch_id, prefetcher, results)
            predictor = BatchPredictor(context, batch_id, results, timer)
            for part in reader.read_in_parts(ordered):
                with timer.phase("look_up"):
                    known = context.former_contents.resolved(part, reader.read_again)
                    fresh = _without_duplicates(context, known, results)
                predictor.add(fresh)
            predictor.finish()
        result = _record(context, batch_id, results, timer)
        discard_rejected(context, images, results.outcomes)
        return result
    finally:
        context.close_unused_trial_process()


def _claim(context: WorkerContext, batch_id: str) -> list[Claimed]:
    """Claim the images of the batch, and return them. Reload the routing rules and the list of opt-outs before that.

    No image is returned if another process has claimed the batch, or if its images were taken back. If a process of
    this worker claimed the batch and died, the images are requeued. The dispatcher is notified.
    """
    context.reload_routes()
    context.reload_opt_outs()
    context.rerun_models.drop_unused()
    images = ledger.claim(context.database, batch_id, process=context.process, lease=context.lease, now=context.clock())
    context.notify_dispatcher()
    context.slot.watch_siblings()
    if not images and requeue_dead_sibling(
        context.database, batch_id, context.process, context.slot, clock=context.clock
    ):
        context.notify_dispatcher()
    return images


def _without_duplicates(context: WorkerContext, part: Sequence[PreparedImage], results: Results) -> list[PreparedImage]:
    """Return the images whose bytes were not analysed before, and give the others the outcome `duplicate`.

    Images of one batch that have the same bytes are found later, when the batch is recorded.
    """
    hashes = {prepared.parsed.file.content for prepared in part}
    originals = ledger.known_contents(context.database, hashes) if part else {}
    fresh = []
    for prepared in part:
        image, file = prepared.parsed.image, prepared.parsed.file
        if file.content in originals:
            results.add_duplicate(image, file, originals[file.content])
        else:
            fresh.append(prepared)
    return fresh


def _record(context: WorkerContext, batch_id: str, results: Results, timer: PhaseTimer) -> BatchResult:
    """Commit all outcomes in one transaction and close the batch."""
    outcomes, seconds = results.outcomes, timer.seconds
    context.store_issuers()
    counts = context.retry_while_unavailable(
        lambda: ledger.record(
            context.database,
            batch_id,
            outcomes,
            seconds=seconds,
            release=__version__,
            runtime=context.model_set.runtimes,
            now=context.clock(),
            policy=context.settings.overwrite_policy,
        )
    )
    context.announce_outcomes(batch_id)
    return summarize(counts, outcomes)
