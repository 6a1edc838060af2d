"""Analyse a batch of a re-run: read each image once for all of its rows, predict, and record further results.

Images are read, decoded and predicted as in a first analysis, but with the networks of the re-run. Duplicates are not
searched, and the first result of an image is not changed.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from db import ledger
from db.ledger import Claimed, FurtherPrediction, Outcome
from db.tables import FINAL, State
from nightread import __version__
from nightread.errors import ImageError
from nightread.reasons import Reason
from worker.batch_predictor import BatchPredictor
from worker.batch_summary import BatchResult, summarize
from worker.context import WorkerContext
from worker.fetching.prefetch import Prefetcher
from worker.phase_timer import PhaseTimer
from worker.reading import ImageReader
from worker.results import Results
from worker.series.reading_order import in_reading_order

_NO_ORDER = (
    "The order of the slices is not known, because no network that needs neighbouring slices analysed this series "
    "before, and a re-run does not find the order. Use a separate re-run for networks that need no neighbouring slices."
)
_Rows = Sequence[Claimed]
"""The rows of one image, one for each bundle."""


def analyse_again(context: WorkerContext, batch_id: str, rows: Sequence[Claimed], timer: PhaseTimer) -> BatchResult:
    """Give every row of the batch its outcome, and return how many rows had which outcome. Raises BatchError."""
    outcomes: list[Outcome] = []
    runtimes: set[str] = set()
    for bundle_ids, images in _by_bundles(rows).items():
        found = context.rerun_models.model_set(bundle_ids, context.model_set)
        outcomes += _without_model(images, found.missing)
        remaining = _with_model(images, found.missing)
        if not remaining:
            continue
        context.keep_lease(batch_id)
        runtimes.update(filter(None, [found.models.runtimes]))
        with context.only_models(found.models):
            outcomes += _analyse(context, batch_id, remaining, timer)
    seconds, runtime = timer.seconds, ", ".join(sorted(runtimes)) or None
    context.store_issuers()
    counts = context.retry_while_unavailable(
        lambda: ledger.record_rerun(
            context.database,
            batch_id,
            outcomes,
            seconds=seconds,
            release=__version__,
            runtime=runtime,
            now=context.clock(),
        )
    )
    context.announce_outcomes(batch_id)
    return summarize(counts, outcomes)


def _by_bundles(rows: Sequence[Claimed]) -> Mapping[tuple[int, ...], list[_Rows]]:
    """Group the rows by image, and the images by the bundles that they need."""
    by_image: defaultdict[int, list[Claimed]] = defaultdict(list)
    for row in rows:
        by_image[row.instance_id].append(row)
    groups: defaultdict[tuple[int, ...], list[_Rows]] = defaultdict(list)
    for of_image in by_image.values():
        groups[tuple(row.rerun_bundle_id or 0 for row in of_image)].append(of_image)
    return groups


def _analyse(context: WorkerContext, batch_id: str, images: Sequence[_Rows], timer: PhaseTimer) -> list[Outcome]:
    """Read each image once, for its first row, and return one outcome for each of its rows."""
    firsts = [rows[0] for rows in images]
    results = Results(context, firsts)
    ordered = in_reading_order(context, firsts)
    with timer.phase("read"), Prefetcher(ordered, context.stores) as prefetcher:
        reader = ImageReader(context, batch_id, prefetcher, results)
        predictor = BatchPredictor(context, batch_id, results, timer)
        for part in reader.read_in_parts(ordered):
            predictor.add(context.former_contents.resolved(part, reader.read_again))
        predictor.finish()
    return [_outcome(row, of_image) for rows, of_image in zip(images, results.outcomes, strict=True) for row in rows]


def _outcome(row: Claimed, of_image: Outcome) -> Outcome:
    """Return the outcome of one row: the result of its network, or else the outcome of the whole image."""
    mine = of_image._replace(work_id=row.work_id, further=(), annotations=None)
    if of_image.reason is Reason.AWAITING_SERIES:  # a re-run does not put series in order
        return mine._replace(state=State.FAILED, detail=_NO_ORDER, not_before=None, uncounted=False)
    for prediction in of_image.further if of_image.state in FINAL else ():
        if prediction.bundle_id == row.rerun_bundle_id:
            return _with_prediction(mine, prediction)
    return mine


def _with_prediction(outcome: Outcome, prediction: FurtherPrediction) -> Outcome:
    return outcome._replace(
        state=prediction.state,
        reason=prediction.reason,
        detail=prediction.detail or (prediction.reason.message if prediction.reason else None),
        label=prediction.label,
        score=prediction.score,
        scores=prediction.scores,
        frames=prediction.frames,
        remarks=prediction.remarks,
    )


def _with_model(images: Sequence[_Rows], missing: Mapping[int, ImageError]) -> list[_Rows]:
    """Return for each image the rows whose model is not missing. Images without such a row are left out."""
    kept = [[row for row in rows if row.rerun_bundle_id not in missing] for rows in images]
    return [rows for rows in kept if rows]


def _without_model(images: Sequence[_Rows], missing: Mapping[int, ImageError]) -> list[Outcome]:
    """Return the failures of the rows whose model is missing."""
    return [
        _failed(row, missing[row.rerun_bundle_id])
        for rows in images
        for row in rows
        if row.rerun_bundle_id is not None and row.rerun_bundle_id in missing
    ]


def _failed(row: Claimed, error: ImageError) -> Outcome:
    return Outcome(
        work_id=row.work_id,
        instance_id=row.instance_id,
        state=State.FAILED,
        reason=error.reason,
        detail=error.detail,
    )
