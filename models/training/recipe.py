"""Define the recipe of a training: everything that the training depends on besides data, code and library versions."""

from dataclasses import asdict, dataclass, field
from typing import Any

from imaging.spec import InputSpec
from models.networks.names import CLASSIC, DETECTOR, RESIDUAL

COSINE, PLATEAU, CONSTANT = SCHEDULES = ("cosine", "plateau", "constant")
ADAM, ADAMW = OPTIMIZERS = ("adam", "adamw")
AUTO, ON, OFF = MIXED_PRECISION = ("auto", "on", "off")


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Limits the rotation and shift of training images, and sets whether they are mirrored. Default: no change."""

    rotation_degrees: float = 0.0
    """The largest rotation to either side."""
    shift_share: float = 0.0
    """The largest shift in any direction, as a share of height and width."""
    flip: bool = False
    """Mirror half of the images left to right."""

    def __post_init__(self) -> None:
        """Raise ValueError if a number is out of range."""
        if not 0 <= self.rotation_degrees <= _HALF_TURN:
            raise ValueError(f"a rotation by {self.rotation_degrees} degrees is out of range: use 0 to {_HALF_TURN}")
        if not 0 <= self.shift_share < 1:
            raise ValueError(
                f"a shift by {self.shift_share} of the image is out of range: use at least 0 and less than 1"
            )

    @property
    def moves(self) -> bool:
        """Return whether images are rotated or shifted, not only mirrored."""
        return self.rotation_degrees > 0 or self.shift_share > 0

    @property
    def changes_anything(self) -> bool:
        """Return whether the recipe changes images at random before the network is trained on them."""
        return self.flip or self.moves


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The options of one training. Equal recipes on equal data give equally good networks, but not equal bytes."""

    network: str
    """`classic`, `residual`, `detector`, or a name of keras.applications; the case of letters does not matter."""
    spec: InputSpec
    epochs: int
    batch_size: int
    learning_rate: float
    optimizer: str = ADAM
    schedule: str = COSINE
    augmentation: Augmentation = field(default_factory=Augmentation)
    class_weights: bool = False
    """Weigh images of rare labels more, so that each label has the same weight in the loss."""
    patience: int | None = None
    """Stop after this number of epochs without a lower validation loss, with the best weights; None: run all epochs."""
    threshold_policy: str = "youden"
    """How thresholds are chosen on the validation part (models.evaluation.operating.Policy)."""
    mixed_precision: str = AUTO
    """`on`: calculate in float16 where Keras allows it; `off`: in float32; `auto`: like `on` if there is a GPU."""
    pretrained: str | None = None
    """The name of the weights file of a keras.applications backbone."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise ValueError if a value is not allowed."""
        for name, value, allowed in (
            ("schedule", self.schedule, SCHEDULES),
            ("optimizer", self.optimizer, OPTIMIZERS),
            ("mixed_precision", self.mixed_precision, MIXED_PRECISION),
        ):
            if value not in allowed:
                raise ValueError(f"{name} is {value!r}; allowed: {', '.join(allowed)}")
        if min(self.epochs, self.batch_size, 1 if self.patience is None else self.patience) < 1:
            raise ValueError("epochs, batch size and patience must be at least 1")
        if not 0 < self.learning_rate < float("inf"):
            raise ValueError("the learning rate must be a positive number")

    def to_json(self) -> dict[str, Any]:
        """Return plain values for training.json."""
        return asdict(self)


def default_hyperparameters(network: str) -> dict[str, Any]:
    """Return batch size, optimizer and learning rate that are known to work for this network."""
    return dict(_DEFAULTS.get(network.lower(), _DEFAULTS_BACKBONE))


_HALF_TURN = 180
_DEFAULTS: dict[str, dict[str, Any]] = {
    CLASSIC: {"batch_size": 128, "optimizer": ADAM, "learning_rate": 1e-3},
    RESIDUAL: {"batch_size": 64, "optimizer": ADAMW, "learning_rate": 2e-3},
    DETECTOR: {"batch_size": 64, "optimizer": ADAMW, "learning_rate": 4e-3},
}
_DEFAULTS_BACKBONE: dict[str, Any] = {"batch_size": 32, "optimizer": ADAM, "learning_rate": 5e-4}
