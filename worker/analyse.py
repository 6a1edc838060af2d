"""The way of one batch, top to bottom: claim, fetch, read, prepare, predict, record."""

from collections.abc import Sequence

from db import ledger
from db.ledger import Claimed
from imaging.facts import Facts
from nightread import __version__
from worker.decode import chunks_of, open_scan
from worker.desk import Desk
from worker.fetch import Fetched, fetch
from worker.results import Results
from worker.scoreboard import Scoreboard
from worker.stopwatch import Stopwatch


def analyse(desk: Desk, batch_id: str) -> dict[str, int]:
    """Give every image of the batch its outcome. Returns the number of images by state; none if it is not ours.

    Raises BatchError: then none of the images has an outcome.
    """
    watch = Stopwatch()
    images = ledger.claim(desk.database, batch_id, process=desk.process, lease=desk.lease, now=desk.clock())
    desk.wake_dispatcher()
    if not images:  # a second delivery: the batch is another's to close
        return {}
    watch.lap("claim")
    results = Results(desk, images)
    files = _fetch(desk, batch_id, images, results)
    watch.lap("fetch")
    fresh = _without_copies(desk, files, results)
    watch.lap("look_up")
    board = Scoreboard(desk.predictor, desk.ahead)
    scans = _decode(desk, batch_id, fresh, board, results)
    results.add_scores(scans, board.finish(), board.refused)
    watch.lap("decode", minus=board.seconds)
    watch.add("predict", board.seconds)
    counts = desk.patiently(
        lambda: ledger.record(
            desk.database, batch_id, results.outcomes, seconds=watch.seconds, release=__version__, now=desk.clock()
        )
    )
    desk.wake_dispatcher()
    return dict(counts)


def _fetch(desk: Desk, batch_id: str, images: Sequence[Claimed], results: Results) -> list[tuple[Claimed, Fetched]]:
    files = []
    for image in images:
        with results.fate_of(image):
            files.append((image, fetch(image, roots=desk.settings.roots, max_bytes=desk.settings.max_file_bytes)))
        desk.keep_lease(batch_id)
    return files


def _without_copies(
    desk: Desk, files: Sequence[tuple[Claimed, Fetched]], results: Results
) -> list[tuple[Claimed, Fetched]]:
    """Bytes that are done already are not analysed again; copies that race each other are told apart at record."""
    originals = ledger.known_contents(desk.database, {file.sha256 for _, file in files}) if files else {}
    fresh = []
    for image, file in files:
        if image.first and file.sha256 in originals:
            results.add_duplicate(image, file, originals[file.sha256])
        else:
            fresh.append((image, file))
    return fresh


def _decode(
    desk: Desk, batch_id: str, files: Sequence[tuple[Claimed, Fetched]], board: Scoreboard, results: Results
) -> list[tuple[Claimed, Fetched, Facts]]:
    """Feed the frames of all images to the network, in the order of the batch; the lease is renewed by progress."""
    scans = []
    for image, file in files:
        with results.fate_of(image, file):
            scan = open_scan(desk, file.data)
            results.keep_facts(image, scan.facts)
            for inputs in chunks_of(scan, desk):
                board.add(image.work_id, inputs)
                desk.keep_lease(batch_id)
            scans.append((image, file, scan.facts))
        desk.keep_lease(batch_id)
    return scans
