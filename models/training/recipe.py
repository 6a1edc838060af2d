"""What a training run depends on besides data, code and library versions."""

from dataclasses import asdict, dataclass, field
from typing import Any

from imaging.spec import InputSpec
from models.networks.names import CLASSIC, DETECTOR, RESIDUAL

COSINE, PLATEAU, CONSTANT = SCHEDULES = ("cosine", "plateau", "constant")
ADAM, ADAMW = OPTIMIZERS = ("adam", "adamw")
AUTO, ON, OFF = MIXED_PRECISION = ("auto", "on", "off")


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How far training images are moved about; all at 0 leaves them alone."""

    rotation_degrees: float = 0.0
    """Up to so much to either side."""
    shift_share: float = 0.0
    """Up to this share of height and width in any direction."""
    flip: bool = False
    """Half of the images are mirrored left to right."""

    def __post_init__(self) -> None:
        """Raise ValueError for what would turn or push an image out of sight."""
        if not 0 <= self.rotation_degrees <= _HALF_TURN:
            raise ValueError(f"a rotation of up to {self.rotation_degrees} degrees: give 0 to {_HALF_TURN}")
        if not 0 <= self.shift_share < 1:
            raise ValueError(f"a shift by up to {self.shift_share} of the image: give 0 or more and less than 1")

    @property
    def moves(self) -> bool:
        """Images are turned or shifted, not only mirrored."""
        return self.rotation_degrees > 0 or self.shift_share > 0

    @property
    def changes_anything(self) -> bool:
        """False: training may read the prepared images as they are."""
        return self.flip or self.moves


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One training run. Equal recipes on equal data give networks of equal quality, not of equal bytes."""

    network: str
    """`classic`, `residual`, `detector`, or a name of keras.applications in any case."""
    spec: InputSpec
    epochs: int
    batch_size: int
    learning_rate: float
    optimizer: str = ADAM
    schedule: str = COSINE
    augmentation: Augmentation = field(default_factory=Augmentation)
    class_weights: bool = False
    """Images of rare labels count more, so that every label has the same weight in the loss."""
    patience: int | None = None
    """Stop after so many epochs without a lower validation loss, and keep the best weights; None: run all epochs."""
    threshold_policy: str = "youden"
    """How thresholds are fitted on the validation part (models.evaluation.operating.Policy)."""
    mixed_precision: str = AUTO
    """`auto`: float16 arithmetic where there is a GPU."""
    pretrained: str | None = None
    """The file's name of the weights of a keras.applications backbone."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise ValueError for what cannot be trained."""
        for name, value, allowed in (
            ("schedule", self.schedule, SCHEDULES),
            ("optimizer", self.optimizer, OPTIMIZERS),
            ("mixed_precision", self.mixed_precision, MIXED_PRECISION),
        ):
            if value not in allowed:
                raise ValueError(f"{name} is {value!r}; allowed: {', '.join(allowed)}")
        if min(self.epochs, self.batch_size, 1 if self.patience is None else self.patience) < 1:
            raise ValueError("epochs, batch size and patience are at least 1")
        if not 0 < self.learning_rate < float("inf"):
            raise ValueError("the learning rate must be a positive number")

    def to_json(self) -> dict[str, Any]:
        """Plain values for training.json."""
        return asdict(self)


def usual(network: str) -> dict[str, Any]:
    """Batch size, optimizer and learning rate that are known to work for a network of this name."""
    return dict(_USUAL.get(network.lower(), _USUAL_BACKBONE))


_HALF_TURN = 180
_USUAL: dict[str, dict[str, Any]] = {
    CLASSIC: {"batch_size": 128, "optimizer": ADAM, "learning_rate": 1e-3},
    RESIDUAL: {"batch_size": 64, "optimizer": ADAMW, "learning_rate": 2e-3},
    DETECTOR: {"batch_size": 64, "optimizer": ADAMW, "learning_rate": 4e-3},
}
_USUAL_BACKBONE: dict[str, Any] = {"batch_size": 32, "optimizer": ADAM, "learning_rate": 5e-4}
