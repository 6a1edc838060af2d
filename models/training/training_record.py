"""Write training.json: how the weights were trained, so that others can judge or repeat the training."""

import json
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras

from models.bundle import TRAINING_FILE
from models.datasets.dataset import Dataset, portable
from models.datasets.warnings import data_warnings
from models.training.checkpoint import History
from models.training.recipe import Recipe
from models.training.schedule import best_epoch


@dataclass(frozen=True, kw_only=True)
class Run:
    """The course of one training."""

    history: History
    parameters: int
    left_out: int
    """The number of frames of the training and validation parts that could not be decoded."""
    preparing_seconds: float
    """The time for reading and preparing images, before the first epoch."""
    model: str
    """`NAME@VERSION`."""
    started_at: str | None
    """The time of the first start of the training, ISO 8601 in UTC; None if an older release started it."""
    ended_at: str
    """The time at which the last epoch ended, ISO 8601 in UTC."""

    @property
    def epochs(self) -> int:
        """Return the number of epochs; fewer than in the recipe if the training stopped early."""
        return len(self.history["loss"])

    @property
    def seconds(self) -> float:
        """Return the time of all epochs in seconds, including those before the training was resumed."""
        return sum(self.history["seconds"])

    def to_json(self) -> dict[str, Any]:
        """Return plain values for training.json."""
        return {
            "model": self.model,
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "epochs": self.epochs,
            "best_epoch": best_epoch(self.history["val_loss"]),
            "parameters": self.parameters,
            "left_out": self.left_out,
            "seconds": {"preparing": round(self.preparing_seconds, 3), "epochs": round(self.seconds, 3)},
            "history": self.history,
        }


def data_json(dataset: Dataset) -> dict[str, Any]:
    """Return the description of a data set, without the folders of this machine."""
    parts = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    return {
        "reference": portable(dataset.reference),
        "split": dataset.split,
        "labels": list(dataset.labels),
        "exclusive": dataset.exclusive,
        "images": {name: part.images for name, part in parts.items()},
        "frames": {name: len(part) for name, part in parts.items()},
        "unreadable": {reason.value: files for reason, files in dataset.unreadable.items()},
    }


def record_json(dataset: Dataset, recipe: Recipe, run: Run) -> dict[str, Any]:
    """Return the content of training.json."""
    backend = keras.backend.backend()
    return {
        "data": data_json(dataset),
        "recipe": recipe.to_json(),
        **run.to_json(),
        "warnings": list(data_warnings(dataset)),
        "backend": backend,
        "devices": keras.distribution.list_devices(),
        "versions": {name: version(name) for name in ("nightread", "keras", backend, "numpy", "pydicom")},
    }


def write_record(folder: Path, dataset: Dataset, recipe: Recipe, run: Run, *, onnx: dict[str, Any]) -> None:
    """Write training.json into the folder of a bundle; the digest does not cover it.

    `onnx` says what the bundle's ONNX file was compared with, or why there is none.
    """
    record = record_json(dataset, recipe, run) | {"onnx": onnx}
    text = json.dumps(record, indent=2, ensure_ascii=False)
    (folder / TRAINING_FILE).write_text(text + "\n", encoding="utf-8")
