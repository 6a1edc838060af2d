"""Analyse one batch: claim, read, deduplicate, predict, record."""

from collections.abc import Sequence

from db import ledger
from db.ledger import Claimed
from nightread import __version__
from worker.batch_predictor import BatchPredictor
from worker.desk import Desk
from worker.fetch_ahead import Ahead
from worker.giving_back import give_back_dead_sibling
from worker.phase_timer import PhaseTimer
from worker.prepared_image import PreparedImage
from worker.reading import ImageReader
from worker.results import Results


def analyse(desk: Desk, batch_id: str) -> dict[str, int]:
    """Give every image of the batch its outcome. Returns the number of images by state; empty if it is not ours.

    Raises BatchError: then none of the images has an outcome.
    """
    timer = PhaseTimer()
    try:
        with timer.phase("claim"):
            images = _claim(desk, batch_id)
        if not images:
            return {}
        results = Results(desk, images)
        with timer.phase("read"), Ahead(images, desk.stores) as ahead:
            reader = ImageReader(desk, batch_id, ahead, results)
            predictor = BatchPredictor(desk, batch_id, results, timer)
            for part in reader.read_in_parts(images):
                with timer.phase("look_up"):
                    fresh = _without_duplicates(desk, part, results)
                predictor.add(fresh)
            predictor.finish()
        return _record(desk, batch_id, results, timer)
    finally:
        desk.end_rehearsals()


def _claim(desk: Desk, batch_id: str) -> list[Claimed]:
    """Take over the batch; empty where another process has it, whose images go back if that process is dead."""
    desk.follow_rules()
    images = ledger.claim(desk.database, batch_id, process=desk.process, lease=desk.lease, now=desk.clock())
    desk.wake_dispatcher()
    desk.seat.watch_others()
    if not images and give_back_dead_sibling(desk.database, batch_id, desk.process, desk.seat, clock=desk.clock):
        desk.wake_dispatcher()
    return images


def _without_duplicates(desk: Desk, part: Sequence[PreparedImage], results: Results) -> list[PreparedImage]:
    """Images whose bytes are not done yet; copies within one batch are found when they are recorded."""
    hashes = {prepared.reading.file.sha256 for prepared in part}
    originals = ledger.known_contents(desk.database, hashes) if part else {}
    fresh = []
    for prepared in part:
        image, file = prepared.reading.image, prepared.reading.file
        if image.first and file.sha256 in originals:
            results.add_duplicate(image, file, originals[file.sha256])
        else:
            fresh.append(prepared)
    return fresh


def _record(desk: Desk, batch_id: str, results: Results, timer: PhaseTimer) -> dict[str, int]:
    """Commit all outcomes in one transaction and close the batch."""
    outcomes, seconds = results.outcomes, timer.seconds
    counts = desk.retry_while_unavailable(
        lambda: ledger.record(desk.database, batch_id, outcomes, seconds=seconds, release=__version__, now=desk.clock())
    )
    desk.wake_dispatcher()
    return dict(counts)
