"""Training of the bundles that ship: `python -m models.train phantom --out models/bundles/phantom`."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import numpy as np

from imaging.spec import InputSpec, Intensity
from models.bundle import TRAINING_FILE, Bundle, save_bundle
from models.datasets.phantoms import Examples, phantoms
from models.evaluation.found import Evaluation, evaluate
from models.network import Network, compile_by_xla, load_network
from models.phantom import CLEAR, NODULE
from models.verdict import Verdict

CHUNK = 500


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a training run depends on besides code and library versions."""

    seed: int = 20_261_120
    training_images: int = 9_000
    unseen_images: int = 2_000
    epochs: int = 14
    batch_size: int = 64
    learning_rate: float = 4e-3

    @property
    def unseen_seed(self) -> int:
        """Phantoms for the evaluation come from another series than those for training."""
        return self.seed + 1


def phantom_bundle() -> Bundle:
    """The card of the phantom bundle, without weights."""
    return Bundle(
        name="phantom",
        version="1.0",
        verdict=Verdict(
            labels=(CLEAR, NODULE),
            normal_label=CLEAR,
            activation="softmax",
            thresholds={NODULE: 0.5},
            temperature=1.0,
            aggregate="max",
        ),
        spec=InputSpec(height=128, width=128, channels=1, intensity=Intensity(kind="voi"), aspect="pad"),
        intended_use="Demonstration and tests: finds round shadows in synthetic chest films made by models.phantom.",
        exclusions=("any image of a patient", "anything but the phantoms of models.phantom"),
    )


def train_phantom(folder: Path, recipe: Recipe) -> tuple[Bundle, Evaluation]:
    """Train, save and evaluate the phantom bundle; the saved files are what is evaluated."""
    import keras  # noqa: PLC0415 - `--help` answers without it

    from models.cnn import small_cnn  # noqa: PLC0415

    card = phantom_bundle()
    keras.utils.set_random_seed(recipe.seed)
    model = small_cnn(card.spec, len(card.labels))
    examples = _generate(card.spec, recipe.seed, recipe.training_images, "training")
    _fit(model, examples.inputs, examples.targets(card.labels), recipe)
    bare = keras.Model(model.inputs, model.outputs)  # without the optimizer, two thirds of the file
    bundle = save_bundle(card, folder, bare.save)
    unseen = _generate(card.spec, recipe.unseen_seed, recipe.unseen_images, "unseen")
    result = evaluate(zip(unseen.labels, given_labels(load_network(bundle), unseen), strict=True), finding=NODULE)
    _write_record(folder, recipe, model, result)
    return bundle, result


def given_labels(network: Network, examples: Examples) -> Iterator[str | None]:
    """The label that the bundle gives each example, in batches of 64."""
    verdict = network.bundle.verdict
    for start in range(0, len(examples.inputs), 64):
        for outcome in verdict.image_results(network.batch_scores(examples.inputs[start : start + 64])):
            yield outcome.label if outcome else None


def _generate(spec: InputSpec, seed: int, count: int, purpose: str) -> Examples:
    with click.progressbar(range(0, count, CHUNK), label=f"{count} {purpose} phantoms") as starts:
        parts = [phantoms(spec, seed=seed, indices=range(start, min(start + CHUNK, count))) for start in starts]
    return Examples(
        inputs=np.concatenate([part.inputs for part in parts]),
        labels=tuple(label for part in parts for label in part.labels),
    )


def _fit(model: Any, inputs: Any, targets: Any, recipe: Recipe) -> None:
    """Adam under a cosine schedule; each epoch mirrors another half of the films."""
    import keras  # noqa: PLC0415

    steps = recipe.epochs * -(-len(inputs) // recipe.batch_size)
    rate = keras.optimizers.schedules.CosineDecay(recipe.learning_rate, steps)
    model.compile(
        keras.optimizers.AdamW(rate),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=compile_by_xla(),
    )
    rng = np.random.default_rng(recipe.seed)
    for epoch in range(1, recipe.epochs + 1):
        order = rng.permutation(len(inputs))
        shuffled, mirrored = inputs[order], rng.integers(0, 2, len(inputs), dtype=bool)
        shuffled[mirrored] = shuffled[mirrored][:, :, ::-1]
        seen = model.fit(shuffled, targets[order], batch_size=recipe.batch_size, shuffle=False, verbose=0).history
        click.echo(f"epoch {epoch}/{recipe.epochs}: loss {seen['loss'][0]:.4f}, accuracy {seen['accuracy'][0]:.4f}")


def _write_record(folder: Path, recipe: Recipe, model: Any, result: Evaluation) -> None:
    """How the weights came about and how well they did; beside the bundle and outside of its digest."""
    import keras  # noqa: PLC0415

    record = {
        "recipe": asdict(recipe) | {"unseen_seed": recipe.unseen_seed},
        "parameters": model.count_params(),
        "backend": keras.backend.backend(),
        "versions": {
            name: version(name) for name in ("nightread", "keras", keras.backend.backend(), "numpy", "pydicom")
        },
        "evaluation": result.to_json(),
    }
    (folder / TRAINING_FILE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


@click.group()
def main() -> None:
    """Train a bundle that ships with nightread."""


@main.command(epilog="Example: python -m models.train phantom --out models/bundles/phantom")
@click.option("--out", "folder", type=click.Path(file_okay=False, path_type=Path), required=True, help="Bundle folder.")
@click.option("--seed", default=Recipe.seed, show_default=True, help="Phantoms, weights and order of the training.")
@click.option("--epochs", default=Recipe.epochs, show_default=True)
@click.option("--images", default=Recipe.training_images, show_default=True, help="Phantoms to train on.")
def phantom(folder: Path, seed: int, epochs: int, images: int) -> None:
    """The demo network: nodules in synthetic chest films. Takes some minutes on two cores."""
    bundle, result = train_phantom(folder, Recipe(seed=seed, epochs=epochs, training_images=images))
    click.echo(f"{bundle.reference} {bundle.digest[:12]} in {folder}")
    click.echo(f"unseen phantoms: {result.images}, precision {result.precision:.4f}, recall {result.recall:.4f}")


if __name__ == "__main__":
    main()
