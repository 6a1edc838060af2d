"""Build networks and preprocessing as third-party authors write them, without any code of nightread."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import pydicom
from keras import layers

from models.phantoms.dicom import PhantomStyle, phantom_file

Prepare = Callable[[Path], Any]
SIDE = 64


def chest_net() -> Any:
    """Build a Sequential network as in tutorials, for gray images in 0..1."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 1)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(8, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile("adam", "categorical_crossentropy")
    return model


def chest_input(path: Path) -> Any:
    """Prepare a DICOM file: window of the header, 0..1, 64 x 64, in plain numpy."""
    scan = pydicom.dcmread(path)
    low = float(scan.WindowCenter) - 0.5 - (float(scan.WindowWidth) - 1) / 2
    image = np.clip((scan.pixel_array.astype(np.float64) - low) / (float(scan.WindowWidth) - 1), 0, 1)
    if scan.PhotometricInterpretation == "MONOCHROME1":
        image = 1 - image
    return cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)[..., None]


def chest_films(folder: Path, count: int = 6) -> list[Path]:
    """Write phantoms of several depths, some of them MONOCHROME1."""
    folder.mkdir()
    paths = []
    for index in range(count):
        style = PhantomStyle(bits=(8, 12, 16)[index % 3], syntax="explicit", monochrome1=index % 4 == 1)
        content, truth = phantom_file(seed=8, index=index, style=style)
        paths.append(folder / truth.file)
        paths[-1].write_bytes(content)
    return paths


def skin_net(photos: list[Path]) -> Any:
    """Build a MobileNetV3Small with random weights, normalized on the photos so that their scores differ."""
    keras.utils.set_random_seed(2)
    model = keras.applications.MobileNetV3Small(input_shape=(SIDE, SIDE, 3), weights=None, classes=2)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.0  # one pass is enough
    model(np.stack([skin_input(path) for path in photos]).astype(np.float32), training=True)
    return model


def skin_input(path: Path) -> Any:
    """Prepare a PNG file: RGB in 0..255, 64 x 64. The network itself rescales."""
    image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB).astype(np.float32)
    return cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def skin_photos(folder: Path, count: int = 6) -> list[Path]:
    """Write pictures of coloured areas."""
    folder.mkdir()
    random = np.random.default_rng(5)
    paths = [folder / f"photo-{number}.png" for number in range(count)]
    for path in paths:
        coarse = random.integers(0, 256, (4, 4, 3), np.uint8)
        cv2.imwrite(str(path), cv2.resize(coarse, (128, 128), interpolation=cv2.INTER_LINEAR))
    return paths


def write_golden(folder: Path, model: Any, paths: list[Path], prepare: Prepare, labels: tuple[str, ...]) -> Path:
    """Write the author's table of scores to the folder of the images."""
    scores = model.predict_on_batch(np.stack([prepare(path) for path in paths]).astype(np.float32))
    with (folder / "golden.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file", *labels])
        writer.writerows([path.name, *row] for path, row in zip(paths, scores.tolist(), strict=True))
    return folder
