"""Compare `nightread models train` with a plain `model.fit` on the same arrays: `python -m benchmarks.training`."""

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from models.datasets import open_dataset
from models.datasets.dataset import Examples
from models.training.listener import Listener
from models.training.recipe import Augmentation, Recipe, default_hyperparameters

console = Console(width=110)
VARIANTS = {
    "plain model.fit": "arrays, without callbacks",
    "train": "arrays, with a checkpoint after each epoch",
    "train, streamed": "images decoded in each epoch",
    "train, flipped": "augmented by threads",
}


@click.command()
@click.option("--data", default="mnist:../shared/data/mnist", show_default=True, metavar="KIND:PATH")
@click.option("--network", default="classic", show_default=True)
@click.option("--images", default=10_000, show_default=True, help="Largest number of training images.")
@click.option("--epochs", default=2, show_default=True)
@click.option("--repeat", default=3, show_default=True)
def main(data: str, network: str, images: int, epochs: int, repeat: int) -> None:
    """Print the speed of whole trainings, including tracing and checkpoints, and the ratio to model.fit."""
    dataset = open_dataset(data)
    recipe = Recipe(network=network, spec=dataset.native_spec, epochs=epochs, **default_hyperparameters(network))
    parts = [_first(dataset.train, images), _first(dataset.validation, max(1, images // 10))]
    seconds: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for _ in range(repeat):  # in turns, so that a slow minute of the machine affects all variants
        for name, measured in seconds.items():
            measured.append(_seconds(name, parts, recipe, len(dataset.labels)))
            console.print(f"{name}: {measured[-1]:.2f} s")
    _show(seconds, len(parts[0]) * epochs, title=f"{network}, {len(parts[0]):,} images, {epochs} epochs")


def _seconds(name: str, parts: list[Examples], recipe: Recipe, labels: int) -> float:
    import dataclasses

    from models.networks.cnn import build_network
    from models.training.checkpoint import Checkpoint, Progress
    from models.training.fit import fit
    from models.training.prepared import in_memory

    model = build_network(recipe.network, recipe.spec.shape, labels, "softmax", seed=recipe.seed)
    held = [in_memory(part, recipe.spec, lambda _: None)[0] for part in parts]
    with tempfile.TemporaryDirectory(prefix="nightread-bench-") as folder:
        kept, progress = Checkpoint(Path(folder)), Progress(plan={}, history={})
        begun = time.perf_counter()
        if name == "plain model.fit":
            _plain_fit(model, held, recipe)
        else:
            flipped = dataclasses.replace(recipe, augmentation=Augmentation(flip=True))
            chosen = flipped if name == "train, flipped" else recipe
            given = parts if name == "train, streamed" else held
            fit(model, given, chosen, checkpoint=kept, progress=progress, listener=Listener())
        return time.perf_counter() - begun


def _plain_fit(model: Any, held: list[Any], recipe: Recipe) -> None:
    import keras

    from models.runtimes.keras_network import compile_by_xla

    model.compile(
        keras.optimizers.Adam(recipe.learning_rate),
        "categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=compile_by_xla(),
    )
    train, validation = held
    unseen = (validation.prepared, validation.truth)
    model.fit(
        train.prepared,
        train.truth,
        batch_size=recipe.batch_size,
        epochs=recipe.epochs,
        validation_data=unseen,
        verbose=0,
    )


def _first(examples: Examples, images: int) -> Examples:
    """Return the first images of a part."""
    from models.datasets.subset import without_frames

    return without_frames(examples, examples.image_of >= images)


def _show(seconds: dict[str, list[float]], images: int, *, title: str) -> None:
    table = Table(title=title)
    for heading in ("variant", "images/s", "ratio to model.fit", "data"):
        table.add_column(heading, justify="left" if heading in ("variant", "data") else "right")
    plain = statistics.median(seconds["plain model.fit"])
    for name, measured in seconds.items():
        median = statistics.median(measured)
        table.add_row(name, f"{images / median:,.0f}", f"{plain / median:.2f}", VARIANTS[name])
    console.print(table)


if __name__ == "__main__":
    main()
