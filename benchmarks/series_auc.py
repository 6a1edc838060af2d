"""Compare aggregate and sequence head: `python -m benchmarks.series_auc BUNDLE... --data dicom-series:FOLDER`.

Both compute the score of a series from the scores of its slices. They are compared for each bundle: its own aggregate,
and a sequence head that is trained as `nightread models train-head` trains it. The figures are in docs/series.md.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from models.bundle import Bundle, load_bundle
from models.datasets import open_dataset
from models.datasets.dataset import Dataset
from models.evaluation.bootstrap import interval, resampling, sampled_figures, weighted_figures
from models.evaluation.matching import PARTS, matched, part_of
from models.evaluation.predictions import Predictions, image_predictions
from models.evaluation.series_predictions import series_predictions
from models.networks.scoring import Scored, score
from models.postprocessing import Postprocessing
from models.runtimes.load import load_network
from models.series.spec import HEAD, SeriesSpec
from models.training.fit_head import HeadRecipe, fit_head
from models.training.train_head import head_of

_FIGURE = "macro_roc_auc"
_ROUNDS = 1000
_SEED = 0


@dataclass(frozen=True, kw_only=True)
class Row:
    """The result of one way to compute the scores of series."""

    bundle: str
    way: str
    auc: float
    rounds: NDArray[np.float64]
    """(rounds,): the ROC-AUC of each round of the bootstrap. In a round, all rows use the same patients."""


def joined(parts: Sequence[Scored]) -> Scored:
    """Join several parts of one data set. The parts share no patient, so each part gets its own patient numbers."""
    images, patients, image_of, numbers = 0, 0, [], []
    for part in parts:
        own = np.arange(len(part.truth)) if part.patients is None else np.unique(part.patients, return_inverse=True)[1]
        image_of.append(part.image_of + images)
        numbers.append(own + patients)
        images, patients = images + len(part.truth), patients + int(own.max()) + 1
    return Scored(
        truth=np.concatenate([part.truth for part in parts]),
        scores=np.concatenate([part.scores for part in parts]),
        image_of=np.concatenate(image_of),
        patients=np.concatenate(numbers),
    )


def head_predictions(postprocessing: Postprocessing, train: Scored, validation: Scored, test: Scored) -> Predictions:
    """Train a sequence head as `nightread models train-head` does, and return its predictions for `test`."""
    model, _ = fit_head(postprocessing, train, validation, HeadRecipe(seed=_SEED))
    return series_predictions(postprocessing, SeriesSpec(aggregate=HEAD), test, head_of(model))


def measured(bundle: Bundle, way: str, predictions: Predictions) -> Row:
    """Return the ROC-AUC of the series, and the ROC-AUC of each round of the bootstrap, which resamples patients."""
    plan = resampling(predictions, rounds=_ROUNDS, seed=_SEED)
    once = weighted_figures(predictions, np.ones((1, len(predictions.truth))))[_FIGURE][0]
    rounds = sampled_figures(predictions, plan)[_FIGURE]
    return Row(bundle=bundle.reference, way=way, auc=float(once), rounds=rounds)


def compared(folder: Path, dataset: Dataset, unseen: Dataset | None) -> Iterator[Row]:
    """Yield the rows of one bundle, measured on the test part, or on all parts of `unseen` if it is given."""
    bundle = load_bundle(folder)
    network = load_network(bundle)
    train, validation = (score(network, matched(bundle, dataset, part)) for part in (dataset.train, dataset.validation))
    source, parts = (dataset, PARTS[:1]) if unseen is None else (unseen, PARTS)
    test = joined([score(network, matched(bundle, source, part_of(source, part))) for part in parts])
    yield measured(bundle, bundle.postprocessing.aggregate, image_predictions(bundle.postprocessing, test))
    yield measured(bundle, "sequence head", head_predictions(bundle.postprocessing, train, validation, test))


def show(rows: Sequence[Row], title: str) -> None:
    """Print the rows, with the difference of each row to the first row."""
    table = Table("bundle", "series from slices by", "ROC-AUC", "more than the first row", title=title)
    for row in rows:
        first = rows[0]
        difference = "" if row is first else _with_interval(row.auc - first.auc, row.rounds - first.rounds, "+.3f")
        table.add_row(row.bundle, row.way, _with_interval(row.auc, row.rounds, ".3f"), difference)
    Console(width=120).print(table)


def _with_interval(value: float, rounds: NDArray[np.float64], digits: str) -> str:
    found = interval(rounds)
    if found.low is None or found.high is None:
        return f"{value:{digits}}"
    return f"{value:{digits}} ({found.low:{digits}} to {found.high:{digits}})"


@click.command()
@click.argument("bundles", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--data", required=True, metavar="KIND:PATH", help="Series used for training: dicom-series:FOLDER.")
@click.option("--labels", "labels_file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--seed", default=0, help="Seed of the split; use the same seed as the training.")
@click.option("--unseen", metavar="KIND:PATH", help="Test on these series, which no training used [the test part].")
@click.option("--unseen-labels", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(
    bundles: tuple[Path, ...],
    data: str,
    labels_file: Path | None,
    seed: int,
    unseen: str | None,
    unseen_labels: Path | None,
) -> None:
    """Print a table of ROC-AUCs with 95 % intervals, resampled by patient."""
    dataset = open_dataset(data, labels_file=labels_file, seed=seed)
    others = None if unseen is None else open_dataset(unseen, labels_file=unseen_labels, seed=seed)
    rows = [row for folder in bundles for row in compared(folder, dataset, others)]
    parts = [dataset.test] if others is None else [others.train, others.validation, others.test]
    show(rows, f"{sum(part.images for part in parts)} series")


if __name__ == "__main__":
    main()
