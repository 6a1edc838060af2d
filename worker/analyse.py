"""The way of one batch, top to bottom: claim, fetch, read, prepare, predict, record."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from db import ledger
from db.ledger import Claimed
from imaging.facts import Facts
from nightread import __version__
from worker.decode import Inputs, chunks_of, open_scan
from worker.desk import Desk
from worker.fetch import Fetched, fetch
from worker.results import Results
from worker.scoreboard import Scoreboard
from worker.stopwatch import Stopwatch

_PART_IMAGES = 64
"""Read before the ledger is asked which of them are copies and the network is given the others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Read:
    """One image that was read: what identifies it, what its header told, and its prepared frames."""

    image: Claimed
    file: Fetched
    facts: Facts
    chunks: Iterable[Inputs]


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
    board = Scoreboard(desk.predictor, desk.ahead)
    scored = []
    for begin in range(0, len(images), _PART_IMAGES):
        scans = [
            scan for image in images[begin : begin + _PART_IMAGES] for scan in _read(desk, batch_id, image, results)
        ]
        watch.lap("read")
        fresh = _without_copies(desk, scans, results)
        watch.lap("look_up")
        scored += [scan for scan in fresh if _feed(desk, batch_id, scan, board, results)]
    results.add_scores([(scan.image, scan.file, scan.facts) for scan in scored], board.finish(), board.refused)
    watch.lap("read", minus=board.seconds)
    watch.add("predict", board.seconds)
    counts = desk.patiently(
        lambda: ledger.record(
            desk.database, batch_id, results.outcomes, seconds=watch.seconds, release=__version__, now=desk.clock()
        )
    )
    desk.wake_dispatcher()
    return dict(counts)


def _read(desk: Desk, batch_id: str, image: Claimed, results: Results) -> Iterator[_Read]:
    """Fetch and decode while the bytes are warm: one image, or none where it has met its fate.

    A scan of many frames is decoded when the network asks for them, since all of them need not fit into memory.
    """
    desk.keep_lease(batch_id)
    with results.fate_of(image):
        file = fetch(image, roots=desk.settings.roots, max_bytes=desk.settings.max_file_bytes)
        with results.fate_of(image, file):
            scan = open_scan(desk, file.data)
            results.keep_facts(image, scan.facts)
            chunks = chunks_of(scan, desk)
            short = scan.frame_count <= _PART_IMAGES
            ready = list(chunks) if short else chunks
            yield _Read(image=image, file=file.without_data(), facts=scan.facts, chunks=ready)


def _without_copies(desk: Desk, scans: Sequence[_Read], results: Results) -> list[_Read]:
    """Bytes that are done already are not scored again; copies that race each other are told apart at record."""
    originals = ledger.known_contents(desk.database, {scan.file.sha256 for scan in scans}) if scans else {}
    fresh = []
    for scan in scans:
        if scan.image.first and scan.file.sha256 in originals:
            results.add_duplicate(scan.image, scan.file, originals[scan.file.sha256])
        else:
            fresh.append(scan)
    return fresh


def _feed(desk: Desk, batch_id: str, scan: _Read, board: Scoreboard, results: Results) -> bool:
    """Give all frames of one image to the network; whether it got that far. The lease is renewed by progress."""
    fed = False
    with results.fate_of(scan.image, scan.file):
        for inputs in scan.chunks:
            board.add(scan.image.work_id, inputs)
            desk.keep_lease(batch_id)
        fed = True
    return fed  # noqa: RET504 - False where the image has met its fate inside
