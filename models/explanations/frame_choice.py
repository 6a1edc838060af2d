"""Which frame of a scan is worth an explanation."""

from itertools import islice

import numpy as np

from imaging.dicom_image import DicomImage
from imaging.prepare import prepare
from models.explanations.explain import Explanation, explain
from models.networks.network import Network
from nightread.errors import UsageFault

_BATCH = 16


def explain_image(
    network: Network, dicom_image: DicomImage, *, label: str | None = None, frame: int | None = None
) -> tuple[int, Explanation]:
    """The frame's number, from 0, and its explanation; without `frame` the one that speaks most for the label.

    Raises UsageFault for a frame or label that is not there, and what DicomImage.frames() raises.
    """
    if frame is not None and not 0 <= frame < dicom_image.frame_count:
        raise UsageFault(f"The image has {dicom_image.frame_count} frames, counted from 0; there is no frame {frame}.")
    chosen = frame if frame is not None else _most_telling(network, dicom_image, label)
    picked = next(islice(dicom_image.frames(), chosen, None))
    return chosen, explain(network, prepare(picked, network.bundle.spec), label)


def _most_telling(network: Network, dicom_image: DicomImage, label: str | None) -> int:
    if dicom_image.frame_count == 1:
        return 0
    bundle, frames, best = network.bundle, dicom_image.frames(), []
    columns = [
        index
        for index, name in enumerate(bundle.labels)
        if (name == label if label in bundle.labels else name != bundle.postprocessing.normal_label)
    ]
    columns = columns or list(range(len(bundle.labels)))
    while part := [prepare(frame, bundle.spec) for frame in islice(frames, _BATCH)]:
        best.append(network.batch_scores(np.stack(part))[:, columns].max(axis=1))
    return int(np.concatenate(best).argmax())
