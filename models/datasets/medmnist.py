"""Open MedMNIST arrays: `train_images`, `train_labels`, `val_...`, `test_...` (Yang et al., Scientific Data 2023)."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from imaging.array import Array
from models.datasets.arrays import array_examples, array_kind, array_spec
from models.datasets.dataset import OFFICIAL, Dataset
from models.datasets.leakage import CONTENT, array_keys, leaks_between
from models.datasets.npz import read_npz
from models.datasets.request import DatasetRequest
from models.datasets.splitting import hold_out
from models.datasets.truth import one_hot

KNOWN_LABELS = {
    "pneumoniamnist": ("normal", "pneumonia"),
    "breastmnist": ("malignant", "normal or benign"),
    "octmnist": ("choroidal neovascularization", "diabetic macular edema", "drusen", "normal"),
    "chestmnist": (
        *("atelectasis", "cardiomegaly", "effusion", "infiltration", "mass", "nodule", "pneumonia"),
        *("pneumothorax", "consolidation", "edema", "emphysema", "fibrosis", "pleural", "hernia"),
    ),
}
"""Label names by the first part of the file name, in the order of `medmnist.INFO`; the files do not contain them."""
VALIDATION_SHARE = 0.15
"""The share of the training images that becomes the validation part if the file has none."""
_PLANES, _COLOUR = 3, 4
_RGB = 3


class _Part(NamedTuple):
    images: Array
    labels: Array


def open_npz(request: DatasetRequest) -> Dataset:
    """Open `npz:FILE`: labels (n,) or (n, 1) are class numbers, (n, k) are k columns of 0 and 1. Raises UsageFault."""
    arrays = read_npz(request.path, request)
    train, test = (_part(arrays, name, request) for name in ("train", "test"))
    if "val_images" in arrays:
        validation = _part(arrays, "val", request)
    else:
        kept, taken = hold_out(train.images, seed=request.seed, share=VALIDATION_SHARE)
        train, validation = _Part(train.images[kept], train.labels[kept]), _Part(*(each[taken] for each in train))
    parts = {"train": train, "validation": validation, "test": test}
    exclusive = train.labels.shape[1] == 1
    labels = _label_names(arrays, parts, exclusive=exclusive, request=request)
    if len({part.images.shape[1:] for part in parts.values()}) > 1:
        request.refuse("the images of the parts differ in size", "Save all images in one size.")
    examples = {
        name: array_examples(part.images, _truth(part.labels, len(labels), exclusive=exclusive), name=name)
        for name, part in parts.items()
    }
    return Dataset(
        reference=request.reference,
        labels=labels,
        exclusive=exclusive,
        split=OFFICIAL,
        train=examples["train"],
        validation=examples["validation"],
        test=examples["test"],
        native_spec=array_spec(train.images),
        kinds=frozenset((array_kind(train.images),)),
        leaks=leaks_between(CONTENT, [array_keys(part.images) for part in (train, validation, test)]),
    )


def _part(arrays: dict[str, Array], name: str, request: DatasetRequest) -> _Part:
    """Return one part: images (n, rows, columns) or (n, rows, columns, 3), labels (n, k) as integers."""
    images, labels = arrays.get(f"{name}_images"), arrays.get(f"{name}_labels")
    if images is None or labels is None:
        request.refuse(f"the file has no {name}_images and {name}_labels", "Add both arrays for train and for test.")
    if images.ndim == _COLOUR and images.shape[-1] == 1:
        images = images[..., 0]
    if images.ndim != _PLANES and not (images.ndim == _COLOUR and images.shape[-1] == _RGB):
        request.refuse(
            f"{name}_images has the shape {images.shape}", "Save gray or RGB images; volumes are not supported."
        )
    if images.dtype not in (np.uint8, np.uint16):
        request.refuse(f"{name}_images is {images.dtype}", "Save the pixels as uint8 or uint16, without scaling.")
    labels = labels.reshape(len(labels), -1)
    if len(images) != len(labels) or not len(images):
        request.refuse(
            f"there are {len(images)} {name} images and {len(labels)} labels", "Save the labels of each image."
        )
    if labels.dtype.kind not in "iub" or labels.min() < 0 or (labels.shape[1] > 1 and labels.max() > 1):
        request.refuse(f"{name}_labels are neither class numbers nor columns of 0 and 1", "Save them as integers.")
    return _Part(images, labels.astype(np.int64))


def _label_names(
    arrays: dict[str, Array], parts: dict[str, _Part], *, exclusive: bool, request: DatasetRequest
) -> tuple[str, ...]:
    """Return the array `labels` of the file, else the names of a known data set, else numbers.

    Raises UsageFault for a single class.
    """
    widths = {part.labels.shape[1] for part in parts.values()}
    if len(widths) > 1:
        request.refuse("the labels of the parts differ in number", "Save the same columns for each part.")
    count = 1 + max(int(part.labels.max()) for part in parts.values()) if exclusive else widths.pop()
    if exclusive and len(np.unique(parts["train"].labels)) < 2:  # noqa: PLR2004
        request.refuse("all training images have the same class", "Add images of another class.")
    own = arrays.get("labels")
    fits = own is not None and own.ndim == 1 and (len(own) >= count if exclusive else len(own) == count)
    if own is not None and fits:
        return tuple(str(name) for name in own)
    known = KNOWN_LABELS.get(Path(request.place).stem.lower().split("_")[0], ())
    return known if len(known) == count else tuple(str(number) for number in range(count))


def _truth(labels: Array, count: int, *, exclusive: bool) -> NDArray[np.float32]:
    return one_hot(labels[:, 0], count) if exclusive else labels.astype(np.float32)
