"""Collect refusals and remarks for single models that are found while the frames of one image are prepared."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from imaging.dicom_image import Frame
from imaging.prepare import prepare
from imaging.read_kind import is_grey
from imaging.remarks import Remarks
from imaging.spec import InputSpec
from nightread.errors import RejectImage
from worker.inference.predictor import Inputs

Refusals = Mapping[str, RejectImage]
WithNeighbours = Callable[[Frame, InputSpec, Inputs], Inputs]


class ModelNotes:
    """Refusals and remarks for single models of one image. A refused model has no result; other models may have one."""

    __slots__ = ("_neighbours", "_targets", "apart", "if_coloured", "refused", "remarks")

    def __init__(
        self,
        targets: Sequence[tuple[str, int]] = (),
        refused: Refusals | None = None,
        if_coloured: Callable[[], Refusals] | None = None,
        neighbours: WithNeighbours | None = None,
    ) -> None:
        """Create the notes of one image.

        `targets` has the name of each bundle with the index of its spec. `refused` has the bundles that refuse the
        image because of its header. If an image is stored in colours, but its first frame is grey, pass `if_coloured`:
        it returns the refusals that apply if a later frame is coloured. `neighbours` prepares frames whose channels
        show neighbouring slices.
        """
        self.refused: dict[str, RejectImage] = dict(refused or {})
        """Why models have no result for the image, by bundle. Decoding later frames may add refusals."""
        self.remarks: dict[str, Remarks] = {}
        """Remarks on the inputs of single models, by bundle."""
        self.apart = False
        """Whether a frame could not be prepared for one of the specs, so that later frames need `prepare_apart`."""
        self._targets = targets
        self._neighbours = neighbours
        self.if_coloured = if_coloured
        """Returns the refusals that apply if a frame is coloured; None if none would, or after they were applied."""

    @property
    def nobody_left(self) -> bool:
        """Return whether all models are refused, so that further frames need not be decoded."""
        return all(bundle in self.refused for bundle, _ in self._targets)

    def look_at_colour(self, frame: Frame) -> None:
        """Refuse the models that were made for grey images, if this is the first coloured frame."""
        if self.if_coloured is not None and not is_grey(frame):
            self.refused.update(self.if_coloured())
            self.if_coloured = None

    def prepare_apart(self, frame: Frame, specs: Sequence[InputSpec], out: Sequence[Inputs]) -> list[Inputs | None]:
        """Prepare the frame for each spec, into the array for this spec in `out`.

        The result has None for a spec whose models are all refused. A refusal or remark concerns only the models of
        its spec.
        """
        return [
            self._prepare(frame, spec, place, self._bundles(index))
            for index, (spec, place) in enumerate(zip(specs, out, strict=True))
        ]

    def _bundles(self, index: int) -> list[str]:
        return [bundle for bundle, spec in self._targets if spec == index]

    def _prepare(self, frame: Frame, spec: InputSpec, out: Inputs, bundles: Sequence[str]) -> Inputs | None:
        if self.apart and all(bundle in self.refused for bundle in bundles):
            return None
        remarks = Remarks()
        try:
            noting = replace(frame, remarks=remarks)
            if spec.needs_neighbours and self._neighbours is not None:
                prepared = self._neighbours(noting, spec, out)
            else:
                prepared = prepare(noting, spec, out)
        except RejectImage as refusal:
            self.apart = True
            self.refused.update(dict.fromkeys(bundles, refusal))
            return None
        for bundle in bundles if remarks else ():
            self.remarks.setdefault(bundle, remarks)
        return prepared
