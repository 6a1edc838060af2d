"""Open MNIST: four IDX files, `mnist.npz` of Keras, or a download by Keras."""

import gzip
import zlib
from pathlib import Path

import numpy as np

from imaging.array import Array
from models.datasets.arrays import array_examples, array_kind, array_spec
from models.datasets.dataset import OFFICIAL, Dataset
from models.datasets.leakage import CONTENT, array_keys, leaks_between
from models.datasets.npz import read_npz
from models.datasets.request import DatasetRequest
from models.datasets.splitting import hold_out
from models.datasets.truth import one_hot

DIGITS = tuple("0123456789")
VALIDATION_SHARE = 1 / 12
"""The share of the training images that becomes the validation part: 5,000 of 60,000."""
_IMAGES_MAGIC, _LABELS_MAGIC = 2051, 2049
_IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
_NPZ = ("x_train", "y_train", "x_test", "y_test")


def open_mnist(request: DatasetRequest) -> Dataset:
    """Open `mnist:FOLDER`, `mnist:FILE.npz`, or `mnist:` for keras.datasets.mnist. Raises UsageFault."""
    images, labels, test_images, test_labels = _arrays(request)
    for pixels, classes in ((images, labels), (test_images, test_labels)):
        if len(pixels) != len(classes) or not len(pixels):
            request.refuse(
                f"there are {len(pixels)} images and {len(classes)} labels", "Download the four files again."
            )
        if classes.max() >= len(DIGITS):
            request.refuse("a label is not a digit", "Use npz:FILE or images:FOLDER for classes other than digits.")
    kept, validation = hold_out(images, seed=request.seed, share=VALIDATION_SHARE)
    truth = one_hot(labels, len(DIGITS))
    return Dataset(
        reference=request.reference,
        labels=DIGITS,
        exclusive=True,
        split=OFFICIAL,
        train=array_examples(images[kept], truth[kept], name="train"),
        validation=array_examples(images[validation], truth[validation], name="validation"),
        test=array_examples(test_images, one_hot(test_labels, len(DIGITS)), name="test"),
        native_spec=array_spec(images),
        kinds=frozenset((array_kind(images),)),
        leaks=leaks_between(CONTENT, [array_keys(part) for part in (images[kept], images[validation], test_images)]),
    )


def _arrays(request: DatasetRequest) -> tuple[Array, ...]:
    """Return training images, training labels, test images and test labels, all uint8."""
    if not request.place:
        return _downloaded(request)
    path = request.path
    if path.is_dir() and (path / "mnist.npz").exists():
        path /= "mnist.npz"
    if path.is_dir():
        return tuple(_read_idx(_idx_file(path, name, request), request) for name in _IDX)
    arrays = read_npz(path, request)
    missing = [name for name in _NPZ if name not in arrays]
    if missing:
        request.refuse(f"the file has no array {missing[0]}", "For MedMNIST arrays use npz:FILE.")
    return tuple(_as_bytes(name, arrays[name], request) for name in _NPZ)


def _as_bytes(name: str, array: Array, request: DatasetRequest) -> Array:
    """Return the array as uint8.

    Raises UsageFault if it does not hold integers from 0 to 255 in the expected number of dimensions, for example for
    pixels that were scaled to 0..1, or for one-hot labels.
    """
    dimensions = 3 if name.startswith("x") else 1
    whole = array.ndim == dimensions and array.dtype.kind in "iu"
    if not whole or (array.size and not 0 <= array.min() <= array.max() <= np.iinfo(np.uint8).max):
        request.refuse(
            f"{name} is {array.dtype} with the shape {array.shape}",
            "Save it like Keras: gray images (n, rows, columns) and labels (n,) as integers from 0 to 255.",
        )
    return array.astype(np.uint8, copy=False)


def _downloaded(request: DatasetRequest) -> tuple[Array, ...]:
    import keras  # noqa: PLC0415 - only the download needs it

    try:
        (images, labels), (test_images, test_labels) = keras.datasets.mnist.load_data()
    except Exception as error:  # noqa: BLE001 - Keras raises a bare Exception for a failed download
        request.refuse(
            f"Keras cannot download MNIST ({type(error).__name__})", "Name a folder with the four IDX files."
        )
    return images, labels, test_images, test_labels


def _idx_file(folder: Path, name: str, request: DatasetRequest) -> Path:
    found = next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)
    if found is None:
        request.refuse(f"the folder has no {name} or {name}.gz", f"It needs {', '.join(_IDX)}, or mnist.npz.")
    return found


def _read_idx(path: Path, request: DatasetRequest) -> Array:
    """Return uint8 with the shape that the file declares (IDX format: http://yann.lecun.com/exdb/mnist)."""
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        request.refuse(f"{path.name} cannot be read ({type(error).__name__})", "Download it again.")
    magic = int.from_bytes(content[:4], "big")
    dimensions = {_IMAGES_MAGIC: 3, _LABELS_MAGIC: 1}.get(magic, 0)
    start = 4 + 4 * dimensions
    shape = tuple(int(size) for size in np.frombuffer(content[4:start], ">u4"))
    if not dimensions or len(content) != start + int(np.prod(shape)):
        request.refuse(f"{path.name} is not a complete IDX file", "Download it again.")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
