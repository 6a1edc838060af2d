"""The way of one batch, top to bottom: claim, fetch, read, prepare, predict, record."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from db import ledger
from db.ledger import Claimed
from nightread import __version__
from nightread.errors import RejectImage
from nightread.reasons import Reason
from worker.answers import Reading, answers_of
from worker.archives import Kind, kind_of
from worker.decode import Inputs, chunks_of, frames_at_once, open_scan
from worker.desk import Desk
from worker.expand import expand
from worker.fetch import Fetched, fetch, lies_in_store
from worker.fetch_ahead import Ahead
from worker.giving_back import give_back_dead_sibling
from worker.results import Results
from worker.scoreboard import Scoreboard
from worker.stopwatch import Stopwatch

_PART_IMAGES = 256
_PART_BYTES = 64 * 1024**2
"""Read before the ledger is asked which of them are copies and the network is given the others: so many images, or
fewer once they are so large together when prepared, that what a process needs does not depend on what arrives.
Inputs of 256 x 256 x 1 fill both at once."""


class _Scan(NamedTuple):
    """An image that was read, and its prepared frames: for each chunk of them one array per spec."""

    reading: Reading
    spec_of: tuple[int, ...]
    """For each of its networks the array in a chunk."""
    chunks: Iterable[tuple[Inputs, ...]]
    held_bytes: int
    """Of those chunks that are prepared already."""


def analyse(desk: Desk, batch_id: str) -> dict[str, int]:
    """Give every image of the batch its outcome. Returns the number of images by state; none if it is not ours.

    Raises BatchError: then none of the images has an outcome.
    """
    try:
        return _analyse(desk, batch_id)
    finally:
        desk.hold(0)
        desk.end_rehearsals()


def _analyse(desk: Desk, batch_id: str) -> dict[str, int]:
    watch = Stopwatch()
    desk.follow_rules()
    images = ledger.claim(desk.database, batch_id, process=desk.process, lease=desk.lease, now=desk.clock())
    desk.wake_dispatcher()
    desk.seat.watch_others()
    if not images:  # a second delivery: the batch is another's to close, if that one lives
        if give_back_dead_sibling(desk.database, batch_id, desk.process, desk.seat, clock=desk.clock):
            desk.wake_dispatcher()
        return {}
    watch.lap("claim")
    results = Results(desk, images)
    boards = {
        bundle: Scoreboard(reader.predictor, desk.ahead, on_trial=desk.panel.on_trial(bundle))
        for bundle, reader in desk.panel.readers.items()
    }
    scored: list[Reading] = []
    with Ahead(images, desk.stores) as ahead:
        for scans in _parts(desk, batch_id, images, ahead, results):
            watch.lap("read")
            fresh = _without_copies(desk, scans, results)
            watch.lap("look_up")
            scored += [scan.reading for scan in fresh if _feed(desk, batch_id, scan, boards, results)]
    answers = {bundle: answers_of(desk.panel.readers[bundle].bundle.verdict, board) for bundle, board in boards.items()}
    results.add_answers(scored, answers)
    predict_seconds = sum(board.seconds for board in boards.values())
    watch.lap("read", minus=predict_seconds)
    watch.add("predict", predict_seconds)
    counts = desk.retry_while_unavailable(
        lambda: ledger.record(
            desk.database, batch_id, results.outcomes, seconds=watch.seconds, release=__version__, now=desk.clock()
        )
    )
    desk.wake_dispatcher()
    return dict(counts)


def _parts(
    desk: Desk, batch_id: str, images: Sequence[Claimed], ahead: Ahead, results: Results
) -> Iterator[list[_Scan]]:
    """The images that could be read, so many at a time as fit."""
    part: list[_Scan] = []
    held_bytes = 0
    for image in images:
        for scan in _read(desk, batch_id, image, ahead, results):
            part.append(scan)
            held_bytes += scan.held_bytes
        if len(part) == _PART_IMAGES or held_bytes >= _PART_BYTES:
            desk.hold(0)
            yield part
            part, held_bytes = [], 0
    desk.hold(0)
    yield part


def _read(desk: Desk, batch_id: str, image: Claimed, ahead: Ahead, results: Results) -> Iterator[_Scan]:
    """Fetch, route and decode while the bytes are warm: one image, or none where it has met its fate.

    A scan of many frames is decoded when the network asks for them, since all of them need not fit into memory.
    """
    desk.hold(0)
    progress = partial(desk.keep_lease, batch_id)
    progress()
    with results.fate_of(image):
        file = ahead.take(image, progress) if lies_in_store(image) else None
        if image.alone or desk.seat.must_be_careful():
            desk.rehearsal.try_out(image, desk.panel.specs, progress, file.data if file else None)
        desk.hold(image.work_id)
        file = file or fetch(image, roots=desk.settings.roots, max_bytes=desk.settings.max_file_bytes)
        with results.fate_of(image, file):
            if (kind := kind_of(file.data)) is not None:
                _expand(desk, image, file, kind, results, progress)
                return
            scan = open_scan(desk, file.data)
            results.keep_header(image, scan)
            choices, specs, spec_of, frame_bytes = desk.panel.assign(scan, image.origin)
            at_once = frames_at_once(frame_bytes)
            chunks = chunks_of(scan, specs, desk, at_once=at_once)
            reading = Reading(image=image, file=file.without_data(), facts=scan.facts, choices=choices)
            if choices and scan.frame_count <= at_once:
                yield _Scan(reading, spec_of, list(chunks), scan.frame_count * frame_bytes)
            else:
                yield _Scan(reading, spec_of, chunks, 0)


def _expand(
    desk: Desk, image: Claimed, file: Fetched, kind: Kind, results: Results, progress: Callable[[], None]
) -> None:
    """Take an archive apart, unless the same one was before."""
    original = ledger.known_contents(desk.database, [file.sha256]).get(file.sha256)
    if original is None or not image.first:
        results.add_expanded(image, file, expand(desk, image, file, kind, results.unrecorded, progress))
    else:
        results.add_duplicate(image, file, original)


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
    reading, spec_of, chunks, _ = scan
    with results.fate_of(reading.image, reading.file):
        if not reading.choices:
            raise RejectImage(Reason.NO_MODEL)
        for inputs in _held(desk, reading.image, chunks):
            for choice, spec in zip(reading.choices, spec_of, strict=True):
                boards[choice.bundle].add(reading.image.work_id, inputs[spec])
            desk.keep_lease(batch_id)
        fed = True
    return fed  # noqa: RET504 - False where the image has met its fate inside


def _held(desk: Desk, image: Claimed, chunks: Iterable[tuple[Inputs, ...]]) -> Iterable[tuple[Inputs, ...]]:
    """The chunks, each decoded with the image in hand unless all of them are decoded already."""
    if isinstance(chunks, list):
        return chunks
    return _one_by_one(desk, image, iter(chunks))


def _one_by_one(desk: Desk, image: Claimed, chunks: Iterator[tuple[Inputs, ...]]) -> Iterator[tuple[Inputs, ...]]:
    while True:
        desk.hold(image.work_id)
        try:
            inputs = next(chunks, None)
        finally:
            desk.hold(0)
        if inputs is None:
            return
        yield inputs
