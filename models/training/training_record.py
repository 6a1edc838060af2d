"""training.json: how the weights came about, for whoever has to judge or repeat it."""

import json
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras

from models.bundle import TRAINING_FILE
from models.datasets.dataset import Dataset, portable
from models.training.checkpoint import History
from models.training.recipe import Recipe
from models.training.schedule import best_epoch


@dataclass(frozen=True, kw_only=True)
class Run:
    """What happened during one training."""

    history: History
    parameters: int
    left_out: int
    """Frames of the training and validation parts that could not be decoded."""
    preparing_seconds: float
    """Reading and preparing of the images, before the first epoch."""

    @property
    def epochs(self) -> int:
        """Fewer than the recipe says where it was stopped early."""
        return len(self.history["loss"])

    @property
    def seconds(self) -> float:
        """In the epochs, over all resumed runs."""
        return sum(self.history["seconds"])

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "epochs": self.epochs,
            "best_epoch": best_epoch(self.history["val_loss"]),
            "parameters": self.parameters,
            "left_out": self.left_out,
            "seconds": {"preparing": round(self.preparing_seconds, 3), "epochs": round(self.seconds, 3)},
            "history": self.history,
        }


def data_json(dataset: Dataset) -> dict[str, Any]:
    """The data set, named so that the record can be shipped."""
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
    """The content of training.json."""
    backend = keras.backend.backend()
    return {
        "data": data_json(dataset),
        "recipe": recipe.to_json(),
        **run.to_json(),
        "backend": backend,
        "devices": keras.distribution.list_devices(),
        "versions": {name: version(name) for name in ("nightread", "keras", backend, "numpy", "pydicom")},
    }


def write_record(folder: Path, dataset: Dataset, recipe: Recipe, run: Run) -> None:
    """Beside the bundle and outside of its digest."""
    text = json.dumps(record_json(dataset, recipe, run), indent=2, ensure_ascii=False)
    (folder / TRAINING_FILE).write_text(text + "\n", encoding="utf-8")
