"""Open labelled data sets for training and evaluation by a reference of the form `KIND:PATH`."""

from collections.abc import Callable
from pathlib import Path

from models.datasets.dataset import Dataset
from models.datasets.folders import open_dicom, open_images
from models.datasets.medmnist import open_npz
from models.datasets.mnist import open_mnist
from models.datasets.phantom_series import open_phantoms
from models.datasets.request import DatasetRequest
from models.datasets.series_folders import open_dicom_series
from nightread.errors import UsageFault
from nightread.plain_text import visible

_OPENERS: dict[str, Callable[[DatasetRequest], Dataset]] = {
    "mnist": open_mnist,
    "npz": open_npz,
    "images": open_images,
    "dicom": open_dicom,
    "dicom-series": open_dicom_series,
    "phantom": open_phantoms,
}
KINDS = ("mnist:FOLDER", "npz:FILE", "images:FOLDER", "dicom:FOLDER", "dicom-series:FOLDER", "phantom:N")
_LABELLED_BY_CSV = ("images", "dicom", "dicom-series")


def open_dataset(
    reference: str,
    *,
    labels_file: Path | None = None,
    seed: int = 0,
    progress: Callable[[int, int], object] | None = None,
) -> Dataset:
    """Open the data set `KIND:PATH`. Only the headers of files are read.

    `progress` is called with (done, total) files. The same reference and seed give the same parts. Raises UsageFault
    with the problem and the remedy.
    """
    kind, colon, place = reference.partition(":")
    opener = _OPENERS.get(kind)
    if opener is None or not colon:
        raise UsageFault(f"data {reference!r} is not of the form KIND:PATH. Use one of {', '.join(KINDS)}.")
    if labels_file is not None and kind not in _LABELLED_BY_CSV:
        raise UsageFault(f"data {reference}: {kind} contains its own labels. Omit --labels.")
    request = DatasetRequest(reference=reference, place=place, labels_file=labels_file, seed=seed, progress=progress)
    dataset = opener(request)
    if unsafe := [label for label in dataset.labels if visible(label) != label]:
        request.refuse(
            f"the label {visible(unsafe[0])} has control characters", "Rename it: bundles refuse control characters."
        )
    return dataset
