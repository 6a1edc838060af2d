"""What a recipe allows, and how a training goes on from its history."""

import pytest

from cli.models.training_options import card_from
from imaging.spec import InputSpec, Intensity
from models.datasets import open_dataset
from models.training.recipe import Augmentation, Recipe, usual
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
    """Before any data are read."""
    with pytest.raises(ValueError, match=message):
        Recipe(**{"network": "classic", "spec": SPEC, "epochs": 1, **usual("classic"), **wrong})


def test_every_network_has_usual_values() -> None:
    """Those of ours in any case, those of keras.applications a common one."""
    assert usual("Classic") == {"batch_size": 128, "optimizer": "adam", "learning_rate": 1e-3}
    assert usual("ResNet50")["batch_size"] == 32


@pytest.mark.parametrize("wrong", [{"rotation_degrees": 181.0}, {"shift_share": 1.0}, {"shift_share": -0.1}])
def test_an_augmentation_that_loses_the_image_is_refused(wrong: dict[str, float]) -> None:
    """Nothing of the image would be left in sight, or the number has no meaning."""
    with pytest.raises(ValueError, match="up to"):
        Augmentation(**wrong)


def test_the_best_epoch_is_the_first_with_the_lowest_loss() -> None:
    """NaN is never the lowest, and without epochs there is none."""
    assert best_epoch([0.5, 0.2, 0.3, 0.2]) == 2
    assert best_epoch([float("nan"), 0.9]) == 2
    assert best_epoch([]) == 0


def test_patience_ends_when_that_many_epochs_brought_nothing() -> None:
    """And never without a patience."""
    losses = [0.5, 0.2, 0.3, 0.2]
    assert is_exhausted(losses, 2)
    assert not is_exhausted(losses, 3)
    assert not is_exhausted(losses, None)


def test_a_plateau_lowers_the_rate_once_per_three_idle_epochs() -> None:
    """Each fall starts the count anew."""
    assert plateau_rate(1.0, [0.5, 0.6, 0.6]) == 1.0
    assert plateau_rate(1.0, [0.5, 0.6, 0.6, 0.6]) == PLATEAU_FACTOR
    assert plateau_rate(1.0, [0.5, 0.6, 0.6, 0.6, 0.4, 0.4, 0.4]) == PLATEAU_FACTOR
    assert plateau_rate(1.0, [0.5, *[0.6] * 6]) == PLATEAU_FACTOR**2


@pytest.mark.parametrize(
    ("network", "name"),
    [("classic", "phantom-classic"), ("ResNet 50", "phantom-resnet-50"), ("x" * 90, f"phantom-{'x' * 56}")],
)
def test_any_network_gives_the_bundle_a_name(network: str, name: str) -> None:
    """That there is no such network is said by who knows them all, not as a complaint about a name nobody chose."""
    recipe = Recipe(network=network, spec=SPEC, epochs=1, **usual(network))
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
