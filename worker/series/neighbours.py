"""Prepare slices for networks whose channels show the neighbouring slices.

When such a slice is read for the first time, it is held back until its series is put in order. When it is read again,
the files of its neighbours are read too.

Each slice of a batch is read and decoded only once. For this, the slices are read in the order of their stack
(worker.series.reading_order). Prepared slices stay in memory while the next input shows them, too. The file of a
neighbour that is analysed later in the batch is kept.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from db import queries
from db.ledger import Claimed
from imaging.dicom_image import DicomImage, Frame
from imaging.facts import Facts
from imaging.remarks import Remarks
from imaging.series.prepared_stack import PreparedStack
from imaging.spec import InputSpec
from models.series.spec import SLICE
from nightread.errors import ImageError, RejectImage, RetryImage
from nightread.reasons import Reason
from worker.context import WorkerContext
from worker.decode import open_dicom_image, stop_timers, timed_frame
from worker.fetching.files import FileChangedError, fetch, is_in_store
from worker.inference.predictor import Inputs
from worker.model_notes import WithNeighbours
from worker.series.hold import HoldSlice
from worker.series.opened_files import OpenedFiles
from worker.series.slices import SliceKey

_NO_SERIES = "The model needs the neighbouring slices, and the image names no series or no study."


_SeriesKey = tuple[str, str]
"""Study and Series Instance UID."""


@dataclass(kw_only=True)
class _OrderedStack:
    keys: Sequence[SliceKey]
    files: Mapping[int, Claimed]
    shown: dict[InputSpec, "_ShownStack"] = field(default_factory=dict)


class _ShownStack:
    """One stack whose slices are prepared for the inputs of one spec."""

    def __init__(self, load: "_Load", stack: _OrderedStack, spec: InputSpec) -> None:
        self.remarks: dict[int, Remarks] = {}
        """Remarks on slices that were prepared as neighbours, by position, until the slice itself is prepared."""
        self._prepared = PreparedStack(lambda index: load(stack, self, index), len(stack.keys), spec)

    def prepare(self, place: int, frame: Frame, out: Inputs) -> Inputs:
        """Return the input of the slice at this position in the stack. Its remarks are added to `frame.remarks`."""
        prepared = self._prepared.prepare(place, out)
        for remark, detail in self.remarks.pop(place, ()):
            frame.remarks.add(remark, detail)
        return prepared


_Load = Callable[[_OrderedStack, _ShownStack, int], Frame | None]


@dataclass(kw_only=True)
class SliceInputs:
    """Prepares the frames of one image, each with its neighbours."""

    reader: "NeighbourReader"
    image: Claimed
    dicom_image: DicomImage
    stands_in: bool
    """Whether the slice itself takes the place of a damaged neighbour. If not, the slice is rejected as `bad_slice`."""

    def prepare(self, frame: Frame, spec: InputSpec, out: Inputs) -> Inputs:
        """Return the input of a frame, written into `out`. Raises RejectImage and RetryImage."""
        return self.reader.prepare(self, frame, spec, out)


class NeighbourReader:
    """Reads neighbouring slices for the images of one batch."""

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self.opened = OpenedFiles()
        self._stacks: dict[_SeriesKey, Mapping[SliceKey, tuple[_OrderedStack, int]]] = {}
        self._own: SliceInputs | None = None
        self._frame: Frame | None = None

    def with_neighbours(self, image: Claimed, facts: Facts, dicom_image: DicomImage, bundle: str) -> WithNeighbours:
        """Return the function that prepares the frames of an image. Raises HoldSlice like `inputs`.

        If the image is part of no stack, the function refuses its frames. This concerns only the networks that need
        neighbours, not other networks that analyse the image.
        """
        try:
            return self.inputs(image, facts, dicom_image, bundle).prepare
        except RejectImage as error:
            return _refusing(error)

    def inputs(self, image: Claimed, facts: Facts, dicom_image: DicomImage, bundle: str) -> SliceInputs:
        """Return an object that prepares the frames of an image. Raises HoldSlice if its series is not in order yet.

        Raises RejectImage if the image names no series, or is part of no stack of its series.
        """
        if not facts.series_instance_uid or not facts.study_instance_uid:
            raise RejectImage(Reason.SERIES_RULES, _NO_SERIES)
        key = facts.study_instance_uid, facts.series_instance_uid
        places = self._places(key)
        if not any((image.instance_id, frame) in places for frame in range(dicom_image.frame_count)):
            raise self._left_out(image, key)
        spec = self._context.model_set.models[bundle].bundle.series
        stands_in = spec is not None and spec.bad_slice == SLICE
        return SliceInputs(reader=self, image=image, dicom_image=dicom_image, stands_in=stands_in)

    def prepare(self, own: SliceInputs, frame: Frame, spec: InputSpec, out: Inputs) -> Inputs:
        """Return the input of one frame of an image, with the neighbours that the channels of `spec` show."""
        facts = own.dicom_image.facts
        places = self._places((facts.study_instance_uid or "", facts.series_instance_uid or ""))
        found = places.get((own.image.instance_id, frame.index))
        if found is None:
            raise RejectImage(Reason.SERIES_RULES, "A frame of the image is part of no stack of its series.")
        stack, place = found
        self._own, self._frame = own, frame
        if spec not in stack.shown:
            stack.shown[spec] = _ShownStack(self._load, stack, spec)
        return stack.shown[spec].prepare(place, frame, out)

    def _load(self, stack: _OrderedStack, shown: _ShownStack, place: int) -> Frame | None:
        """Return the slice at this position in the stack: a frame of the present image, or of the file of a neighbour.

        Return None if the file of the neighbour is damaged and the present slice must take its place.
        """
        own, frame = self._own, self._frame
        if own is None or frame is None:
            raise RuntimeError("no image is being prepared")
        image_id, index = stack.keys[place]
        if image_id == own.image.instance_id:
            return frame if index == frame.index else own.dicom_image.frame(index)
        try:
            found = self._other(stack.files.get(image_id), index)
            shown.remarks[place] = Remarks()
            return replace(found, remarks=shown.remarks[place])
        except FileChangedError as error:
            # Size and time in this error are those of the neighbour, and must not be recorded for this image.
            raise RetryImage(Reason.STILL_CHANGING, "The file of a neighbouring slice changed.") from error
        except RetryImage:
            raise
        except ImageError:
            if own.stands_in:
                return None
            raise RejectImage(Reason.BAD_SLICE, "A neighbouring slice cannot be read.") from None

    def _other(self, image: Claimed | None, index: int) -> Frame:
        if image is None:
            raise RejectImage(Reason.BAD_SLICE)
        settings = self._context.settings
        stop_timers()  # of the slice itself: fetching has no time limit, and each neighbour has a limit
        if is_in_store(image):
            file = self._context.stores.fetch(image)
        else:
            file = fetch(image, roots=settings.roots, max_bytes=settings.max_file_bytes)
        dicom_image = open_dicom_image(self._context, file.data, image.origin)
        frame = timed_frame(dicom_image, index, settings.image_timeout_seconds)
        self.opened.keep(image.instance_id, file, dicom_image, frame)
        return frame

    def _places(self, key: _SeriesKey) -> Mapping[SliceKey, tuple[_OrderedStack, int]]:
        """Return the stack and the position of each slice of a series; empty if the series is not in order yet."""
        if key not in self._stacks:
            order = queries.series_order(self._context.database, *key)
            self._stacks[key] = {
                (image_id, frame): (stack, place)
                for keys in order.stacks
                for stack in [_OrderedStack(keys=keys, files=order.files)]
                for place, (image_id, frame) in enumerate(keys)
            }
        return self._stacks[key]

    def _left_out(self, image: Claimed, key: _SeriesKey) -> ImageError:
        reason = queries.series_order(self._context.database, *key).left_out.get(image.instance_id)
        if reason is None:
            return HoldSlice()
        if reason == Reason.AMBIGUOUS_SERIES:
            return RejectImage(Reason.AMBIGUOUS_SERIES)
        return RejectImage(Reason.SERIES_RULES, f"The image is part of no stack of its series ({reason}).")


def _refusing(refusal: RejectImage) -> WithNeighbours:
    def refuse(_frame: Frame, _spec: InputSpec, _out: Inputs) -> Inputs:
        raise refusal

    return refuse
