"""Read the images of one batch: fetch, expand archives, decode, prepare."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from db import ledger
from db.ledger import Claimed
from worker.archives import Kind, kind_of
from worker.decode import chunks_of, frames_at_once, open_scan
from worker.desk import Desk
from worker.expand import expand
from worker.fetch import Fetched, fetch, lies_in_store
from worker.fetch_ahead import Ahead
from worker.predict import Inputs
from worker.prepared_image import PreparedImage, Reading
from worker.results import Results

_PART_IMAGES = 256
_PART_BYTES = 64 * 1024**2
"""A part ends at 256 images, or at 64 MiB of prepared frames, so that the memory of a process does not depend on what
arrives. Inputs of 256 x 256 x 1 reach both limits at once."""


class ImageReader:
    """Turns claimed images into prepared ones; an image that cannot be read gets its outcome in the results."""

    def __init__(self, desk: Desk, batch_id: str, ahead: Ahead, results: Results) -> None:
        self._desk = desk
        self._ahead = ahead
        self._results = results
        self._progress = partial(desk.keep_lease, batch_id)

    def read_in_parts(self, images: Sequence[Claimed]) -> Iterator[list[PreparedImage]]:
        """Yield the images that could be read, as many at a time as fit. Raises BatchError."""
        part: list[PreparedImage] = []
        held_bytes = 0
        for image in images:
            if prepared := self._read(image):
                part.append(prepared)
                held_bytes += prepared.held_bytes
            if len(part) == _PART_IMAGES or held_bytes >= _PART_BYTES:
                yield part
                part, held_bytes = [], 0
        yield part

    def _read(self, image: Claimed) -> PreparedImage | None:
        """Fetch, route and decode one image while its bytes are warm; None where it has its outcome already."""
        self._progress()
        with self._results.fate_of(image):
            file = self._ahead.take(image, self._progress) if lies_in_store(image) else None
            self._trial_read_if_suspicious(image, file)
            with self._desk.in_flight(image):
                file = file or self._fetch(image)
                with self._results.fate_of(image, file):
                    if (kind := kind_of(file.data)) is None:
                        return self._prepare(image, file)
                    self._expand(image, file, kind)
        return None

    def _trial_read_if_suspicious(self, image: Claimed, file: Fetched | None) -> None:
        """Read an image first in a disposable process where it, or any image lately, has killed its reader."""
        if image.alone or self._desk.seat.must_be_careful():
            data = file.data if file else None
            self._desk.rehearsal.try_out(image, self._desk.panel.specs, self._progress, data)

    def _fetch(self, image: Claimed) -> Fetched:
        settings = self._desk.settings
        return fetch(image, roots=settings.roots, max_bytes=settings.max_file_bytes)

    def _expand(self, image: Claimed, file: Fetched, kind: Kind) -> None:
        """Unpack an archive, unless the same bytes were unpacked before."""
        original = ledger.known_contents(self._desk.database, [file.sha256]).get(file.sha256)
        if original is None or not image.first:
            members = expand(self._desk, image, file, kind, self._results.unrecorded, self._progress)
            self._results.add_expanded(image, file, members)
        else:
            self._results.add_duplicate(image, file, original)

    def _prepare(self, image: Claimed, file: Fetched) -> PreparedImage:
        """Decode all frames now, or later where they are too many to fit into memory at once."""
        desk = self._desk
        scan = open_scan(desk, file.data)
        self._results.keep_header(image, scan)
        matches, specs, spec_of, frame_bytes = desk.panel.assign(scan, image.origin)
        at_once = frames_at_once(frame_bytes)
        chunks = chunks_of(scan, specs, desk, at_once=at_once)
        reading = Reading(image=image, file=file.without_data(), facts=scan.facts, matches=matches)
        if matches and scan.frame_count <= at_once:
            return PreparedImage(reading, spec_of, list(chunks), scan.frame_count * frame_bytes)
        return PreparedImage(reading, spec_of, self._decode_later(image, chunks), 0)

    def _decode_later(self, image: Claimed, chunks: Iterator[tuple[Inputs, ...]]) -> Iterable[tuple[Inputs, ...]]:
        """The chunks, each decoded when it is asked for, with the image marked as in flight just then."""
        while True:
            with self._desk.in_flight(image):
                inputs = next(chunks, None)
            if inputs is None:
                return
            yield inputs
