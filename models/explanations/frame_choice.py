"""Explain one frame of an image: the given frame, or the frame with the highest score."""

from itertools import islice

import numpy as np

from imaging.dicom_image import DicomImage
from imaging.prepare import prepare
from models.explanations.explain import Explanation, explain
from models.runtimes.network import Network
from nightread.errors import UsageFault

_BATCH = 16


def explain_image(
    network: Network, dicom_image: DicomImage, *, label: str | None = None, frame: int | None = None
) -> tuple[int, Explanation]:
    """Return the number of the frame, from 0, and its explanation.

    The default frame is the frame with the highest score of `label`; if `label` is None, of any finding. Raises
    UsageFault for an unknown frame or label, and ImageError as DicomImage.frames() does.
    """
    if frame is not None and not 0 <= frame < dicom_image.frame_count:
        count = "1 frame" if dicom_image.frame_count == 1 else f"{dicom_image.frame_count} frames"
        raise UsageFault(f"There is no frame {frame}: the image has {count}, counted from 0.")
    chosen = frame if frame is not None else _highest_scoring_frame(network, dicom_image, label)
    return chosen, explain(network, prepare(dicom_image.frame(chosen), network.bundle.spec), label)


def _highest_scoring_frame(network: Network, dicom_image: DicomImage, label: str | None) -> int:
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
