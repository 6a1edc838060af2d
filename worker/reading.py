"""Read the images of one batch: fetch the bytes, unpack archives, decode and prepare the frames.

Decoding can kill the process, so the image is marked as in flight while its bytes are read, unpacked or decoded.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from types import MappingProxyType

from db import ledger
from db.ledger import Claimed
from imaging.dicom_image import DicomImage
from imaging.facts import Facts
from imaging.kind import GREY, ImageKind
from imaging.read_kind import read_kind
from imaging.remarks import Remark
from imaging.spec import InputSpec
from imaging.stored_geometry import geometry_text
from nightread.errors import ImageError
from worker.archives.detect import ArchiveKind, archive_kind
from worker.archives.expand import expand
from worker.context import WorkerContext
from worker.decode import decode_in_chunks, frames_per_chunk, kind_of, open_dicom_image
from worker.decoders.decode_ahead import DecodeAhead
from worker.decoders.messages import DecodedImage, Undecoded, decode_routing
from worker.decoders.pool import DecodePool
from worker.fetching.files import Fetched, fetch, is_in_store
from worker.fetching.prefetch import Prefetcher
from worker.inference.predictor import Inputs
from worker.model_notes import ModelNotes, Refusals, WithNeighbours
from worker.prepared_image import ParsedImage, PreparedImage
from worker.results import Results
from worker.series.neighbours import NeighbourReader

_PART_IMAGES = 256
_PART_BYTES = 64 * 1024**2
"""A part ends at 256 images or at 64 MiB of prepared frames, so that memory is bounded for any batch. Network inputs of
256 x 256 x 1 float32 reach both limits at the same time."""


class ImageReader:
    """Turns claimed images into prepared images. An image that cannot be read gets its outcome in `results`."""

    def __init__(self, context: WorkerContext, batch_id: str, prefetcher: Prefetcher, results: Results) -> None:
        self._context = context
        self._prefetcher = prefetcher
        self._results = results
        self._neighbours = NeighbourReader(context)
        self._keep_lease = partial(context.keep_lease, batch_id)
        self._decode_ahead = DecodeAhead((), None)

    def read_in_parts(self, images: Sequence[Claimed]) -> Iterator[list[PreparedImage]]:
        """Yield the images that could be read, in parts that fit into memory. Raises BatchError."""
        part: list[PreparedImage] = []
        held_bytes = 0
        self._neighbours.opened.expect(image.instance_id for image in images)
        with DecodeAhead(images, self._decode_pool) as self._decode_ahead:
            for image in images:
                if prepared := self._read(image):
                    part.append(prepared)
                    held_bytes += prepared.held_bytes
                if len(part) == _PART_IMAGES or held_bytes >= _PART_BYTES:
                    yield part
                    part, held_bytes = [], 0
            yield part

    @property
    def _decode_pool(self) -> DecodePool | None:
        """Return the decoder processes; None if every network needs neighbours, which decoders cannot read."""
        return None if self._context.model_set.only_neighbours else self._context.decode_pool

    def _read(self, image: Claimed) -> PreparedImage | None:
        """Fetch, route and decode one image. Return None if it has its outcome already (error, archive, duplicate)."""
        self._keep_lease()
        with self._results.capture_errors(image):
            decoded = self._decode_ahead.take(image, self._keep_lease)
            if not isinstance(decoded, Undecoded):
                return self._take_over(image, *decoded)
            file = self._prefetcher.take(image, self._keep_lease) if is_in_store(image) else None
            self._trial_read_if_suspicious(image, file, is_suspicious=decoded is Undecoded.SUSPICIOUS)
            with self._context.in_flight(image):
                file = file or self._neighbours.opened.file_of(image.instance_id) or self._fetch(image)
                with self._results.capture_errors(image, file):  # from here the outcome also holds the file's identity
                    if (kind := archive_kind(file.data)) is None:
                        return self.prepare(image, file)
                    self._expand(image, file, kind)
        return None

    def read_again(self, image: Claimed) -> Fetched | None:
        """Return the file of an image whose bytes were dropped; None if it cannot be read. Raises BatchError."""
        self._keep_lease()
        try:
            return self._context.stores.fetch(image) if is_in_store(image) else self._fetch(image)
        except ImageError:
            return None

    def _take_over(self, image: Claimed, decoded: DecodedImage, arrays: tuple[Inputs, ...]) -> PreparedImage | None:
        """Return an image that a decoder process has read and prepared."""
        with self._results.capture_errors(image, decoded.file):
            facts = decoded.with_keys(self._context.patient)
            self._results.keep_facts(image, facts, decoded.annotations)
            file = decoded.file
            if not facts.sop_instance_uid:
                file = self._context.former_contents.identified_again(image, file, self.read_again)
            matches, targets, refused = decode_routing(decoded.routing)
            parsed = ParsedImage(
                image, file, facts, matches, refused, decoded.remarks, MappingProxyType(decoded.model_remarks)
            )
            return PreparedImage(parsed, targets, [arrays] if arrays else (), sum(array.nbytes for array in arrays))
        return None

    def _trial_read_if_suspicious(self, image: Claimed, file: Fetched | None, *, is_suspicious: bool = False) -> None:
        """Read the image in a disposable process first, if this image or any recent image has killed a process."""
        if image.alone or is_suspicious or self._context.slot.is_cautious():
            data = file.data if file else None
            self._context.trial_reader.read(image, self._context.model_set.specs, self._keep_lease, data)

    def _fetch(self, image: Claimed) -> Fetched:
        settings = self._context.settings
        return fetch(image, roots=settings.roots, max_bytes=settings.max_file_bytes)

    def _expand(self, image: Claimed, file: Fetched, kind: ArchiveKind) -> None:
        """Unpack the archive into new arrivals, or make it a duplicate if the same bytes were unpacked before."""
        file = self._context.former_contents.identified(file)
        original = ledger.known_contents(self._context.database, [file.content]).get(file.content)
        if original is None:
            members = expand(self._context, image, file, kind, self._results.unrecorded, self._keep_lease)
            self._results.add_expanded(image, file, members)
        else:
            self._results.add_duplicate(image, file, original)

    def prepare(self, image: Claimed, file: Fetched) -> PreparedImage:
        """Parse the header, apply the routing rules and the domains of the models, and decode the frames.

        Frames that fit into one chunk are decoded now; more frames are decoded chunk by chunk during prediction. The
        frames of an image that no model analyses are not decoded at all. Raises RejectImage if the patient opted out.
        """
        context = self._context
        opened = self._neighbours.opened.take(image.instance_id, file)
        dicom_image = opened or open_dicom_image(context, file.data, image.origin)
        self._results.keep_header(image, dicom_image)
        if not dicom_image.facts.sop_instance_uid:
            file = context.former_contents.identified(file)
        kind = kind_of(dicom_image, context)
        matches, specs, targets, frame_bytes, refused = context.model_set.assign(dicom_image, image.origin, kind)
        facts = dicom_image.facts
        if context.model_set.needs_geometry(matches):
            facts = facts._replace(geometry=geometry_text(dicom_image.elements, dicom_image.frame_count))
            self._results.keep_facts(image, facts, None)
        if context.settings.any_domain:
            dicom_image.remarks.add(Remark.ANY_DOMAIN)
        chunk_frames = frames_per_chunk(frame_bytes)
        neighbours = self._neighbours_of(image, facts, dicom_image, specs, targets)
        notes = ModelNotes(targets, refused, self._if_coloured(image, dicom_image, kind), neighbours)
        chunks = decode_in_chunks(dicom_image, specs, context, chunk_frames=chunk_frames, notes=notes)
        parsed = ParsedImage(
            image, file.without_data(), facts, matches, notes.refused, dicom_image.remarks, notes.remarks
        )
        if targets and dicom_image.frame_count <= chunk_frames:
            return PreparedImage(parsed, targets, list(chunks), dicom_image.frame_count * frame_bytes)
        return PreparedImage(parsed, targets, self._decode_later(image, chunks), 0)

    def _neighbours_of(
        self,
        image: Claimed,
        facts: Facts,
        dicom_image: DicomImage,
        specs: Sequence[InputSpec],
        targets: Sequence[tuple[str, int]],
    ) -> WithNeighbours | None:
        """Return the function that prepares frames with their neighbours. Raises HoldSlice.

        Return None if no bundle of unit `series` needs neighbours.
        """
        models = self._context.model_set.models
        for bundle, index in targets:
            if specs[index].needs_neighbours and models[bundle].bundle.series is not None:
                return self._neighbours.with_neighbours(image, facts, dicom_image, bundle)
        return None

    def _if_coloured(self, image: Claimed, dicom_image: DicomImage, kind: ImageKind) -> Callable[[], Refusals] | None:
        """Return a function that returns the refusals if a later frame is coloured; None if that changes no refusal."""
        models = self._context.model_set
        if kind.samples != GREY or dicom_image.frame_count == 1 or not models.depends_on_colour:
            return None
        coloured = read_kind(dicom_image)
        return None if coloured == kind else lambda: models.assign(dicom_image, image.origin, coloured).refused

    def _decode_later(self, image: Claimed, chunks: Iterator[tuple[Inputs, ...]]) -> Iterable[tuple[Inputs, ...]]:
        """Yield the chunks. Each is decoded on request; the image is marked as in flight only during the decoding."""
        while True:
            with self._context.in_flight(image):
                inputs = next(chunks, None)
            if inputs is None:
                return
            yield inputs
