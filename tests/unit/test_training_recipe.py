"""Recipes are checked, and the learning rate and the end of a training follow from its history."""

import pytest

from cli.models.training_options import card_from
from imaging.spec import InputSpec, Intensity
from models.datasets import open_dataset
from models.training.recipe import Augmentation, Recipe, default_hyperparameters
from models.training.schedule import PLATEAU_FACTOR, best_epoch, is_exhausted, plateau_rate

SPEC = InputSpec(height=28, width=28, channels=1, intensity=Intensity(kind="full"))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"schedule": "steps"}, "schedule is 'steps'"),
        ({"optimizer": "sgd"}, "optimizer is 'sgd'"),
        ({"epochs": 0}, "at least 1"),
        ({"patience": 0}, "at least 1"),
        ({"learning_rate": 0.0}, "positive"),
        ({"learning_rate": float("nan")}, "positive"),
    ],
)
def test_a_recipe_that_cannot_be_trained_is_refused(wrong: dict[str, object], message: str) -> None:
    """The error is raised before any data are read."""
    with pytest.raises(ValueError, match=message):
        Recipe(**{"network": "classic", "spec": SPEC, "epochs": 1, **default_hyperparameters("classic"), **wrong})


def test_every_network_has_default_hyperparameters() -> None:
    """Each own network has its own values; all networks of keras.applications share the same."""
    assert default_hyperparameters("Classic") == {"batch_size": 128, "optimizer": "adam", "learning_rate": 1e-3}
    assert default_hyperparameters("ResNet50")["batch_size"] == 32


@pytest.mark.parametrize("wrong", [{"rotation_degrees": 181.0}, {"shift_share": 1.0}, {"shift_share": -0.1}])
def test_an_augmentation_that_loses_the_image_is_refused(wrong: dict[str, float]) -> None:
    """The image would be moved out of sight, or the number is out of range."""
    with pytest.raises(ValueError, match="is out of range"):
        Augmentation(**wrong)


def test_the_best_epoch_is_the_first_with_the_lowest_loss() -> None:
    """NaN is never the lowest loss, and without epochs the result is 0."""
    assert best_epoch([0.5, 0.2, 0.3, 0.2]) == 2
    assert best_epoch([float("nan"), 0.9]) == 2
    assert best_epoch([]) == 0


def test_patience_is_exhausted_after_epochs_without_a_lower_loss() -> None:
    """Without patience, the training never stops early."""
    losses = [0.5, 0.2, 0.3, 0.2]
    assert is_exhausted(losses, 2)
    assert not is_exhausted(losses, 3)
    assert not is_exhausted(losses, None)


def test_a_plateau_lowers_the_rate_after_three_epochs_without_a_lower_loss() -> None:
    """After each reduction, the count starts again."""
    assert plateau_rate(1.0, [0.5, 0.6, 0.6]) == 1.0
    assert plateau_rate(1.0, [0.5, 0.6, 0.6, 0.6]) == PLATEAU_FACTOR
    assert plateau_rate(1.0, [0.5, 0.6, 0.6, 0.6, 0.4, 0.4, 0.4]) == PLATEAU_FACTOR
    assert plateau_rate(1.0, [0.5, *[0.6] * 6]) == PLATEAU_FACTOR**2


@pytest.mark.parametrize(
    ("network", "name"),
    [("classic", "phantom-classic"), ("ResNet 50", "phantom-resnet-50"), ("x" * 90, f"phantom-{'x' * 56}")],
)
def test_any_network_gives_the_bundle_a_name(network: str, name: str) -> None:
    """An unknown network must be refused as unknown, not because its name makes an invalid bundle name."""
    recipe = Recipe(network=network, spec=SPEC, epochs=1, **default_hyperparameters(network))
    card = card_from(
        open_dataset("phantom:20"),
        recipe,
        name=None,
        version="1.0",
        intended_use=None,
        exclusions=(),
        normal_label=None,
        aggregate="max",
    )
    assert card.name == name
