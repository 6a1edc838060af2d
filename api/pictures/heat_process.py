"""Compute heat maps: `python -m api.pictures.heat_process`, started by api.pictures.process.

It is the only process of the API that loads Keras. It loads Keras at its first heat map, and ends after a time without
requests. It runs on the CPU (api.pictures.process), because the worker uses the memory of the GPU.
"""

import os
from http import HTTPStatus
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2

from api.pictures.child import answer, set_up
from api.pictures.drawing import encode, grey_or_rgb
from api.pictures.exit_codes import CLOSED
from api.pictures.picture import PNG, HeatMapRequest, NoPictureError, Picture, ProcessSettings
from api.pictures.reading import read_image, require_frame, view_of
from imaging.array import Array
from imaging.dicom_image import DicomImage
from imaging.pixel_ratio import pixel_ratio
from imaging.rendering import fit
from models.catalogue import bundle_of_result
from nightread.errors import StopWork, UsageFault
from nightread.hardware import quiet_tensorflow
from nightread.process_limits import die_with_parent, limit_memory

if TYPE_CHECKING:  # Keras takes seconds to import, and is not needed to refuse a request
    from models.explanations.explain import Explanation
    from models.runtimes.network import Network

_MOST_NETWORKS = 2


class HeatMaps:
    """Computes heat maps, and keeps the two networks that were used last."""

    def __init__(self) -> None:
        self._networks: dict[str, Network] = {}

    def draw(self, request: HeatMapRequest, data: bytes, settings: ProcessSettings) -> Picture:
        """Return the heat map of one frame. Raises NoPictureError, ImageError and OutsideRegionError."""
        image = read_image(request, data, settings.limits)
        if request.frame is not None:
            require_frame(image, request.frame)
        view_of(image, request.view)
        network = self._network(request, settings)
        index, explanation = _explained(network, image, request)
        details = {
            "method": explanation.method,
            "frame": f"{index + 1}/{image.frame_count}",
            "evidence": "above threshold" if explanation.reaches_threshold else "below threshold",
        }
        pixels = _drawn(explanation, image, index, request)
        return Picture(content=encode(pixels, PNG), media_type=PNG, details=details)

    def _network(self, request: HeatMapRequest, settings: ProcessSettings) -> "Network":
        from models.explanations.load import load_to_explain  # noqa: PLC0415

        network = self._networks.pop(request.digest, None)
        if network is None:
            try:
                folders = [Path(folder) for folder in settings.bundle_folders]
                bundle = bundle_of_result(request.bundle, request.digest, folders)
                if bundle is None:
                    detail = f"The model {request.bundle} that analysed the image is not installed any more."
                    raise NoPictureError(HTTPStatus.CONFLICT, detail)
                network = load_to_explain(bundle)
            except StopWork:
                detail = f"The model {request.bundle} cannot be loaded: run `nightread explain` to see why."
                raise NoPictureError(HTTPStatus.CONFLICT, detail) from None
            if not self._networks:
                limit_memory(settings.memory_bytes)
        self._networks[request.digest] = network
        if len(self._networks) > _MOST_NETWORKS:
            self._networks.pop(next(iter(self._networks)))
        return network


def _explained(network: "Network", image: DicomImage, request: HeatMapRequest) -> "tuple[int, Explanation]":
    from models.explanations.frame_choice import explain_image  # noqa: PLC0415

    if request.label not in network.bundle.labels:
        detail = f"The model has no label of this name: choose one of {', '.join(network.bundle.labels)}."
        raise NoPictureError(HTTPStatus.UNPROCESSABLE_ENTITY, detail)
    try:
        return explain_image(network, image, label=request.label, frame=request.frame)
    except UsageFault:
        detail = f"The model {request.bundle} cannot be explained: it has no convolution with a map of several pixels."
        raise NoPictureError(HTTPStatus.CONFLICT, detail) from None


def _drawn(explanation: "Explanation", image: DicomImage, index: int, request: HeatMapRequest) -> Array:
    """Return the heat as a transparent RGBA layer, or the picture with the heat over it in RGB.

    The array is uint8 of shape (height, width, 4 or 3).
    """
    from models.explanations.heat_layer import heat_layer  # noqa: PLC0415
    from models.explanations.overlay import heated  # noqa: PLC0415
    from models.explanations.regions import heat_on_image  # noqa: PLC0415

    rows, columns = image.frame(index).stored.shape[:2]
    whole = heat_on_image(explanation.scaled_heat, explanation.bundle.spec, rows, columns)
    heat = fit(whole, request.view.viewport, pixel_ratio=pixel_ratio(image.elements, index)).clip(0, 1)
    if not request.overlay:
        return heat_layer(heat)
    picture = grey_or_rgb(image, index, view_of(image, request.view))
    blue_first: Any = cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR if picture.ndim == 2 else cv2.COLOR_RGB2BGR)  # noqa: PLR2004
    mixed: Array = cv2.cvtColor(heated(blue_first, heat), cv2.COLOR_BGR2RGB)
    return mixed


def serve(connection: "Connection[Any, Any]") -> int:
    """Answer requests until the API closes the connection or sends nothing for `idle_seconds`."""
    settings: ProcessSettings = connection.recv()
    heat_maps = HeatMaps()
    while answer(connection, settings, heat_maps.draw):
        pass
    return CLOSED


if __name__ == "__main__":
    die_with_parent()
    set_up()
    quiet_tensorflow()
    os._exit(serve(Connection(0)))  # without the shutdown of the interpreter, which can take seconds
