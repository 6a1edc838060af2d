"""Read the images of one batch: fetch, expand archives, decode, prepare."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from db import ledger
from db.ledger import Claimed
from worker.archives.detect import ArchiveKind, archive_kind
from worker.archives.expand import expand
from worker.context import WorkerContext
from worker.decode import chunks_of, frames_at_once, open_dicom_image
from worker.fetching.files import Fetched, fetch, lies_in_store
from worker.fetching.prefetch import Prefetcher
from worker.inference.predictor import Inputs
from worker.prepared_image import PreparedImage, ReadImage
from worker.results import Results

_PART_IMAGES = 256
_PART_BYTES = 64 * 1024**2
"""A part ends at 256 images, or at 64 MiB of prepared frames, so that the memory of a process does not depend on what
arrives. Inputs of 256 x 256 x 1 reach both limits at once."""


class ImageReader:
    """Turns claimed images into prepared ones; an image that cannot be read gets its outcome in the results."""

    def __init__(self, context: WorkerContext, batch_id: str, prefetcher: Prefetcher, results: Results) -> None:
        self._context = context
        self._ahead = prefetcher
        self._results = results
        self._progress = partial(context.keep_lease, batch_id)

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
        with self._results.capture_errors(image):
            file = self._ahead.take(image, self._progress) if lies_in_store(image) else None
            self._trial_read_if_suspicious(image, file)
            with self._context.in_flight(image):
                file = file or self._fetch(image)
                with self._results.capture_errors(image, file):
                    if (kind := archive_kind(file.data)) is None:
                        return self._prepare(image, file)
                    self._expand(image, file, kind)
        return None

    def _trial_read_if_suspicious(self, image: Claimed, file: Fetched | None) -> None:
        """Read an image first in a disposable process where it, or any image lately, has killed its reader."""
        if image.alone or self._context.slot.is_cautious():
            data = file.data if file else None
            self._context.trial_reader.read(image, self._context.model_set.specs, self._progress, data)

    def _fetch(self, image: Claimed) -> Fetched:
        settings = self._context.settings
        return fetch(image, roots=settings.roots, max_bytes=settings.max_file_bytes)

    def _expand(self, image: Claimed, file: Fetched, kind: ArchiveKind) -> None:
        """Unpack an archive, unless the same bytes were unpacked before."""
        original = ledger.known_contents(self._context.database, [file.sha256]).get(file.sha256)
        if original is None or not image.first:
            members = expand(self._context, image, file, kind, self._results.unrecorded, self._progress)
            self._results.add_expanded(image, file, members)
        else:
            self._results.add_duplicate(image, file, original)

    def _prepare(self, image: Claimed, file: Fetched) -> PreparedImage:
        """Decode all frames now, or later where they are too many to fit into memory at once."""
        context = self._context
        dicom_image = open_dicom_image(context, file.data)
        self._results.keep_header(image, dicom_image)
        matches, specs, spec_of, frame_bytes = context.model_set.assign(dicom_image, image.origin)
        at_once = frames_at_once(frame_bytes)
        chunks = chunks_of(dicom_image, specs, context, at_once=at_once)
        read_image = ReadImage(image=image, file=file.without_data(), facts=dicom_image.facts, matches=matches)
        if matches and dicom_image.frame_count <= at_once:
            return PreparedImage(read_image, spec_of, list(chunks), dicom_image.frame_count * frame_bytes)
        return PreparedImage(read_image, spec_of, self._decode_later(image, chunks), 0)

    def _decode_later(self, image: Claimed, chunks: Iterator[tuple[Inputs, ...]]) -> Iterable[tuple[Inputs, ...]]:
        """The chunks, each decoded when it is asked for, with the image marked as in flight just then."""
        while True:
            with self._context.in_flight(image):
                inputs = next(chunks, None)
            if inputs is None:
                return
            yield inputs
