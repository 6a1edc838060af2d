"""The way of one batch, top to bottom: claim, fetch, read, prepare, predict, record."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from db import ledger
from db.ledger import Claimed
from nightread import __version__
from nightread.errors import RejectImage
from nightread.reasons import Reason
from worker.answers import Reading, answers_of
from worker.decode import Inputs, chunks_of, open_scan
from worker.desk import Desk
from worker.fetch import fetch
from worker.results import Results
from worker.scoreboard import Scoreboard
from worker.stopwatch import Stopwatch

_PART_IMAGES = 64
"""Read before the ledger is asked which of them are copies and the network is given the others."""


class _Scan(NamedTuple):
    """An image that was read, and its prepared frames: for each chunk of them one array per spec."""

    reading: Reading
    spec_of: tuple[int, ...]
    """For each of its networks the array in a chunk."""
    chunks: Iterable[tuple[Inputs, ...]]


def analyse(desk: Desk, batch_id: str) -> dict[str, int]:
    """Give every image of the batch its outcome. Returns the number of images by state; none if it is not ours.

    Raises BatchError: then none of the images has an outcome.
    """
    watch = Stopwatch()
    desk.follow_rules()
    images = ledger.claim(desk.database, batch_id, process=desk.process, lease=desk.lease, now=desk.clock())
    desk.wake_dispatcher()
    if not images:  # a second delivery: the batch is another's to close
        return {}
    watch.lap("claim")
    results = Results(desk, images)
    boards = {
        bundle: Scoreboard(reader.predictor, desk.ahead, on_trial=desk.panel.on_trial(bundle))
        for bundle, reader in desk.panel.readers.items()
    }
    scored: list[Reading] = []
    for begin in range(0, len(images), _PART_IMAGES):
        scans = [
            scan for image in images[begin : begin + _PART_IMAGES] for scan in _read(desk, batch_id, image, results)
        ]
        watch.lap("read")
        fresh = _without_copies(desk, scans, results)
        watch.lap("look_up")
        scored += [scan.reading for scan in fresh if _feed(desk, batch_id, scan, boards, results)]
    answers = {bundle: answers_of(desk.panel.readers[bundle].bundle.verdict, board) for bundle, board in boards.items()}
    results.add_answers(scored, answers)
    predict_seconds = sum(board.seconds for board in boards.values())
    watch.lap("read", minus=predict_seconds)
    watch.add("predict", predict_seconds)
    counts = desk.patiently(
        lambda: ledger.record(
            desk.database, batch_id, results.outcomes, seconds=watch.seconds, release=__version__, now=desk.clock()
        )
    )
    desk.wake_dispatcher()
    return dict(counts)


def _read(desk: Desk, batch_id: str, image: Claimed, results: Results) -> Iterator[_Scan]:
    """Fetch, route and decode while the bytes are warm: one image, or none where it has met its fate.

    A scan of many frames is decoded when the network asks for them, since all of them need not fit into memory.
    """
    desk.keep_lease(batch_id)
    with results.fate_of(image):
        file = fetch(image, roots=desk.settings.roots, max_bytes=desk.settings.max_file_bytes)
        with results.fate_of(image, file):
            scan = open_scan(desk, file.data)
            results.keep_facts(image, scan.facts)
            choices, specs, spec_of = desk.panel.assign(scan, image.source)
            chunks = chunks_of(scan, specs, desk)
            at_once = bool(choices) and scan.frame_count <= _PART_IMAGES
            ready = list(chunks) if at_once else chunks
            reading = Reading(image=image, file=file.without_data(), facts=scan.facts, choices=choices)
            yield _Scan(reading, spec_of, ready)


def _without_copies(desk: Desk, scans: Sequence[_Scan], results: Results) -> list[_Scan]:
    """Bytes that are done already are not scored again; copies that race each other are told apart at record."""
    hashes = {scan.reading.file.sha256 for scan in scans}
    originals = ledger.known_contents(desk.database, hashes) if scans else {}
    fresh = []
    for scan in scans:
        image, file = scan.reading.image, scan.reading.file
        if image.first and file.sha256 in originals:
            results.add_duplicate(image, file, originals[file.sha256])
        else:
            fresh.append(scan)
    return fresh


def _feed(desk: Desk, batch_id: str, scan: _Scan, boards: Mapping[str, Scoreboard], results: Results) -> bool:
    """Give all frames of one image to its networks; whether it got that far. The lease is renewed by progress."""
    fed = False
    reading, spec_of, chunks = scan
    with results.fate_of(reading.image, reading.file):
        if not reading.choices:
            raise RejectImage(Reason.NO_MODEL)
        for inputs in chunks:
            for choice, spec in zip(reading.choices, spec_of, strict=True):
                boards[choice.bundle].add(reading.image.work_id, inputs[spec])
            desk.keep_lease(batch_id)
        fed = True
    return fed  # noqa: RET504 - False where the image has met its fate inside
