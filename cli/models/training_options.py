"""The options of a recipe, and what they mean for given data."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from cli.models.card_values import INTENSITY
from imaging.spec import ASPECTS, InputSpec, Intensity
from models.bundle import Bundle
from models.datasets.dataset import Dataset
from models.evaluation.operating import YOUDEN, Policy
from models.networks.names import OWN_NETWORKS
from models.postprocessing import SIGMOID, SOFTMAX, Postprocessing
from models.training.recipe import MIXED_PRECISION, OPTIMIZERS, SCHEDULES, Augmentation, Recipe, default_hyperparameters
from nightread.errors import UsageFault

F = TypeVar("F", bound=Callable[..., Any])

_EVEN = 0.5
_OPTIONS = (
    click.option(
        "--network", required=True, metavar="NAME", help=f"{', '.join(OWN_NETWORKS)}, or one of keras.applications."
    ),
    click.option("--epochs", type=click.IntRange(min=1), default=10, show_default=True),
    click.option("--batch-size", type=click.IntRange(min=1), help="[the network's usual one]"),
    click.option("--learning-rate", type=float, help="At the beginning [the network's usual one]."),
    click.option("--optimizer", type=click.Choice(OPTIMIZERS), help="[the network's usual one]"),
    click.option(
        "--schedule", type=click.Choice(SCHEDULES), default="cosine", show_default=True, help="Of the learning rate."
    ),
    click.option("--size", metavar="PIXELS", type=click.IntRange(min=1), help="Side of the input [as the data are]."),
    click.option("--channels", type=click.Choice(["1", "3"]), help="Of the input [as the data are]."),
    click.option("--intensity", type=INTENSITY, help="voi, full, window:-600:1500, percentile:1:99 [as the data are]."),
    click.option("--aspect", type=click.Choice(ASPECTS), help="Of images that are not square [as the data are]."),
    click.option("--rotate", default=0.0, metavar="DEGREES", help="Turn training images by up to so much."),
    click.option("--shift", default=0.0, metavar="SHARE", help="Shift them by up to this share of their size."),
    click.option("--flip", is_flag=True, help="Mirror half of them left to right."),
    click.option("--class-weights", is_flag=True, help="Give each label the same weight in the loss."),
    click.option("--patience", type=click.IntRange(min=1), metavar="EPOCHS", help="Stop early, keep the best epoch."),
    click.option(
        "--threshold",
        "threshold_policy",
        metavar="POLICY",
        default=YOUDEN,
        show_default=True,
        help="From which score a finding counts, fitted on the validation part: youden, sensitivity:0.95, "
        "specificity:0.95, or fixed:0.5. Without --normal-label the highest score wins.",
    ),
    click.option("--mixed-precision", type=click.Choice(MIXED_PRECISION), default="auto", show_default=True),
    click.option(
        "--weights",
        "pretrained",
        metavar="FILE",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Pretrained weights of a keras.applications network without its top.",
    ),
)


def recipe_options(command: F) -> F:
    """--network, --epochs and all else that a Recipe has."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def recipe_from(dataset: Dataset, *, network: str, size: int | None, pretrained: Path | None, **options: Any) -> Recipe:
    """The recipe of the options. Raises UsageFault for values that make none."""
    Policy.parse(options["threshold_policy"])
    known = ("batch_size", "learning_rate", "optimizer")
    chosen = {name: options[name] for name in known if options[name] is not None}
    if options["class_weights"] and not dataset.exclusive:
        raise UsageFault("--class-weights needs data with exactly one label per image")
    try:
        return Recipe(
            network=network,
            spec=_spec(dataset, size, options),
            epochs=options["epochs"],
            schedule=options["schedule"],
            augmentation=Augmentation(
                rotation_degrees=options["rotate"], shift_share=options["shift"], flip=options["flip"]
            ),
            class_weights=options["class_weights"],
            patience=options["patience"],
            threshold_policy=options["threshold_policy"],
            mixed_precision=options["mixed_precision"],
            pretrained=pretrained.name if pretrained else None,
            seed=options["seed"],
            **default_hyperparameters(network) | chosen,
        )
    except ValueError as error:
        raise UsageFault(str(error)) from error


def _spec(dataset: Dataset, size: int | None, options: dict[str, Any]) -> InputSpec:
    changes: dict[str, Any] = {} if size is None else {"height": size, "width": size}
    if options["channels"] is not None:
        changes["channels"] = int(options["channels"])
    if options["intensity"] is not None:
        changes["intensity"] = Intensity(**options["intensity"])
    if options["aspect"] is not None:
        changes["aspect"] = options["aspect"]
    return replace(dataset.native_spec, **changes)


def card_from(
    dataset: Dataset,
    recipe: Recipe,
    *,
    name: str | None,
    version: str,
    intended_use: str | None,
    exclusions: tuple[str, ...],
    normal_label: str | None,
    aggregate: str,
    **_: Any,
) -> Bundle:
    """The bundle that the options describe, before calibration. Raises UsageFault for values that make none."""
    kind = dataset.reference.partition(":")[0]
    named = name or re.sub(r"[^a-z0-9._-]+", "-", f"{kind}-{recipe.network.lower()}")[:64]
    if normal_label is not None and normal_label not in dataset.labels:
        raise UsageFault(f"--normal-label {normal_label}: the labels are {', '.join(dataset.labels)}")
    highest = dataset.exclusive and normal_label is None
    try:
        postprocessing = Postprocessing(
            labels=dataset.labels,
            normal_label=normal_label,
            activation=SOFTMAX if dataset.exclusive else SIGMOID,
            thresholds={label: None if highest else _EVEN for label in dataset.labels if label != normal_label},
            temperature=1.0,
            aggregate=aggregate,
        )
        return Bundle(
            name=named,
            version=version,
            postprocessing=postprocessing,
            spec=recipe.spec,
            intended_use=intended_use or f"Tells {', '.join(dataset.labels)} apart, in images like its training data.",
            exclusions=exclusions,
        )
    except ValueError as error:
        raise UsageFault(str(error)) from error
