"""One training as it was asked for."""

from dataclasses import dataclass, field
from pathlib import Path

from models.bundle import Bundle
from models.datasets.dataset import Dataset
from models.training.listener import Listener
from models.training.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class TrainingRequest:
    """Data, recipe, and what the bundle is to be."""

    dataset: Dataset
    recipe: Recipe
    card: Bundle
    """The bundle without weights, its verdict not yet calibrated."""
    folder: Path
    pretrained: Path | None = None
    """Weights to begin with, for keras.applications."""
    memory_gib: float = 2.0
    """Prepared images are kept in memory if they take no more than this; else each epoch decodes them anew."""
    also_h5: bool = False
    listener: Listener = field(default_factory=Listener)
