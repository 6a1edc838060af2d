"""Define the input of one training."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.bundle import Bundle
from models.datasets.dataset import Dataset
from models.training.listener import Listener
from models.training.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class TrainingRequest:
    """The data set, the recipe, and the description of the bundle to make."""

    dataset: Dataset
    recipe: Recipe
    card: Bundle
    """The bundle without weights; its postprocessing is not calibrated yet."""
    folder: Path
    """The folder of the bundle to make."""
    pretrained: Path | None = None
    """The file of initial weights, for keras.applications only."""
    memory_gib: float = 2.0
    """The limit in GiB for prepared images and Keras' copy of them. Above it, each epoch decodes images again."""
    also_h5: bool = False
    """Also save the network as a legacy HDF5 file."""
    stated_domain: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the domain, as in bundle.json. They replace the fields that are derived from the training images."""
    listener: Listener = field(default_factory=Listener)
