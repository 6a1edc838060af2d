"""Explain one finding: read its image again, find the regions, and make the objects that were asked for."""

import io
from contextlib import suppress

import pydicom
from pydicom.dataset import Dataset

from delivery.evidence import Evidence, NoRegions
from delivery.explaining.heat_map import NO_POSITION, has_position, heat_map
from delivery.explaining.key_image import key_image
from delivery.explaining.messages import HEAT_MAP, KEY_IMAGE, Explained, ExplainRequest
from delivery.explaining.names_in_pixels import may_show_names
from delivery.originals import Originals
from delivery.reasons import NotDelivered
from imaging.dicom_image import DicomImage, Frame
from imaging.limits import Limits
from imaging.prepare import prepare
from imaging.read import read
from models.bundle import load_bundle
from models.catalogue import entries
from models.explanations.explain import Explanation, explain
from models.explanations.load import load_to_explain
from models.explanations.regions import heat_on_image, outline
from models.runtimes.network import Network
from nightread.errors import ImageError, StopWork, UsageFault
from nightread.settings import Settings

_BURNED_IN = (
    "No key image: names may be burned into the pixels. Set `burned_in = true` at the destination to send it "
    "nevertheless."
)


class ResultExplainer:
    """Reads originals, and keeps the network of the latest bundle."""

    def __init__(self, settings: Settings) -> None:
        """Load nothing yet."""
        self._settings = settings
        self._originals = Originals(settings)
        self._network: Network | None = None
        self._limits = Limits(
            file_bytes=settings.max_file_bytes,
            frame_pixels=settings.max_frame_pixels,
            object_bytes=settings.max_object_bytes,
        )

    def explain(self, request: ExplainRequest) -> Explained:
        """Return regions and objects. If the original is missing, changed or unreadable, return the reason."""
        try:
            data = self._originals.read(request.original)
            image = read(data, limits=self._limits)
            header = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True, force=True)
            if image.facts.sop_instance_uid != request.result.sop_instance_uid:
                return Explained(no_regions=NoRegions.NO_ORIGINAL)
            return self._explained(request, image, header)
        except (NotDelivered, ImageError):
            return Explained(no_regions=NoRegions.NO_ORIGINAL)

    def _explained(self, request: ExplainRequest, image: DicomImage, header: Dataset) -> Explained:
        index = (request.result.strongest_frame or 1) - 1
        frame = image.frame(index)
        number = index + 1 if image.frame_count > 1 else None
        explanation, reason = self._explanation(request, frame)
        evidence = None if explanation is None else _evidence(explanation, frame, number)
        if evidence is not None and not evidence.regions:
            evidence, reason = None, NoRegions.NO_HEAT
        objects, left_out = [], []
        if KEY_IMAGE in request.uids:
            if request.burned_in or not may_show_names(header):
                objects.append(key_image(request, frame, number, evidence, header))
            else:
                left_out.append(_BURNED_IN)
        if HEAT_MAP in request.uids and explanation is not None:
            if has_position(header):
                rows, columns = frame.stored.shape[:2]
                heat = heat_on_image(explanation.scaled_heat, explanation.bundle.spec, rows, columns)
                objects.append(heat_map(request, heat, header, method=explanation.method))
            else:
                left_out.append(NO_POSITION)
        return Explained(evidence=evidence, no_regions=reason, objects=tuple(objects), left_out=tuple(left_out))

    def _explanation(self, request: ExplainRequest, frame: Frame) -> tuple[Explanation | None, NoRegions | None]:
        if not request.can_explain:
            return None, None
        try:
            network = self._network_of(request)
            if network is None:
                return None, NoRegions.NO_BUNDLE
            return explain(network, prepare(frame, network.bundle.spec), request.result.label), None
        except UsageFault:
            return None, NoRegions.NOT_EXPLAINABLE
        except StopWork:
            return None, NoRegions.NO_BUNDLE

    def _network_of(self, request: ExplainRequest) -> Network | None:
        digest = request.result.bundle.digest
        if self._network is not None and self._network.bundle.digest == digest:
            return self._network
        self._network = None  # only one network at a time is in memory
        for entry in entries(self._settings.bundle_folders):
            if (entry.name, entry.version) == (request.result.bundle.name, request.result.bundle.version):
                with suppress(StopWork):
                    bundle = load_bundle(entry.path)
                    if bundle.digest == digest:
                        self._network = load_to_explain(bundle)
                        return self._network
        return None


def _evidence(explanation: Explanation, frame: Frame, number: int | None) -> Evidence:
    rows, columns = frame.stored.shape[:2]
    polygons = outline(explanation.heat, explanation.bundle.spec, rows, columns)
    return Evidence(
        frame=number,
        regions=tuple(tuple((float(column), float(row)) for column, row in polygon) for polygon in polygons),
        method=explanation.method,
    )
