"""Measure how well series are told apart: `python -m benchmarks.series_auc BUNDLE... --data dicom-series:FOLDER`.

Two ways from the scores of the slices to that of a series are compared for each bundle: its aggregate, and a sequence
head, which is a small network over these scores in their order, trained on the training part. The figures are in
docs/series.md.
"""

from pathlib import Path
from typing import Any

import click
import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from models.bundle import load_bundle
from models.datasets import open_dataset
from models.datasets.dataset import Dataset
from models.evaluation.bootstrap import image_weights, interval, resampling, weighted_figures
from models.evaluation.predictions import Predictions, image_predictions, stored_predictions
from models.networks.scoring import Scored, score
from models.postprocessing import Postprocessing
from models.runtimes.load import load_network

Sequences = NDArray[np.float32]
_ROUNDS = 1000
_EPOCHS = 60
_WIDTH = 16
_SEED = 0


def padded(scored: Scored) -> Sequences:
    """Return the scores of the slices by series, (series, slices of the longest, labels); 0 behind the last slice."""
    lengths = np.bincount(scored.image_of)
    sequences = np.zeros((len(lengths), int(lengths.max()), scored.scores.shape[1]), np.float32)
    for series, place in zip(np.split(scored.scores, np.cumsum(lengths)[:-1]), sequences, strict=True):
        place[: len(series)] = series
    return sequences


def trained_head(sequences: Sequences, truth: NDArray[np.float32], activation: str) -> Any:
    """Return a network from (series, slices, labels) to (series, labels): two convolutions and a global maximum."""
    keras.utils.set_random_seed(_SEED)
    inputs = keras.Input((None, sequences.shape[2]))
    features = layers.Conv1D(_WIDTH, 5, padding="same", activation="relu")(inputs)
    features = layers.Conv1D(_WIDTH, 3, padding="same", activation="relu")(features)
    outputs = layers.Dense(truth.shape[1], activation=activation)(layers.GlobalMaxPooling1D()(features))
    head = keras.Model(inputs, outputs)
    loss = "binary_crossentropy" if activation == "sigmoid" else "categorical_crossentropy"
    head.compile(keras.optimizers.Adam(5e-3), loss)
    head.fit(sequences, truth, epochs=_EPOCHS, batch_size=32, verbose=0)
    return head


def head_predictions(postprocessing: Postprocessing, train: Scored, test: Scored) -> Predictions:
    """Return the predictions of a sequence head for the test part."""
    head = trained_head(padded(train), train.truth, postprocessing.activation)
    scores = head.predict(padded(test), verbose=0)
    given = [None if result is None else result.label for result in postprocessing.image_results(scores)]
    return stored_predictions(postprocessing, truth=test.truth, scores=scores, given=given, patients=test.patients)


def auc_text(predictions: Predictions) -> str:
    """Return the ROC-AUC of the series with its 95 % interval, resampled by patient."""
    plan = resampling(predictions, rounds=_ROUNDS, seed=_SEED)
    once = weighted_figures(predictions, np.ones((1, len(predictions.truth))))["macro_roc_auc"][0]
    rounds = np.concatenate(
        [weighted_figures(predictions, weights)["macro_roc_auc"] for weights in image_weights(predictions, plan)]
    )
    found = interval(rounds)
    return f"{once:.3f} ({found.low or 0:.3f} to {found.high or 0:.3f})"


def compared(folder: Path, dataset: Dataset) -> list[tuple[str, str, str]]:
    """Return bundle, way and AUC for both ways of one bundle."""
    bundle = load_bundle(folder)
    network = load_network(bundle)
    train, test = score(network, dataset.train), score(network, dataset.test)
    by_aggregate = image_predictions(bundle.postprocessing, test)
    by_head = head_predictions(bundle.postprocessing, train, test)
    return [
        (bundle.reference, bundle.postprocessing.aggregate, auc_text(by_aggregate)),
        (bundle.reference, "sequence head", auc_text(by_head)),
    ]


@click.command()
@click.argument("bundles", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--data", required=True, help="dicom-series:FOLDER")
@click.option("--labels", "labels_file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--seed", default=0, help="Seed of the split: that of the training.")
def main(bundles: tuple[Path, ...], data: str, labels_file: Path | None, seed: int) -> None:
    """Print a table of ROC-AUCs."""
    dataset = open_dataset(data, labels_file=labels_file, seed=seed)
    table = Table("bundle", "series from slices by", f"ROC-AUC of {dataset.test.images} test series")
    for folder in bundles:
        for row in compared(folder, dataset):
            table.add_row(*row)
    Console().print(table)


if __name__ == "__main__":
    main()
