"""Run `nightread models evaluate`: measure a bundle on labelled data or on past results."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from cli.inputs.options import settings_from, state_options
from cli.models.data_options import open_and_describe, optional_data_options
from cli.models.night_evaluation import night_results
from cli.models.requirement_table import show_requirements
from cli.models.usable_examples import material_of, progress_bar, usable_examples
from cli.output.console import err, out, print_json
from cli.output.tables import NOT_FOR_DIAGNOSIS, make_table, show
from models.bundle import CARD_FILE, Bundle, load_bundle
from models.catalogue import find_bundle
from models.datasets.dataset import Dataset, Examples
from models.domain import refusal
from models.evaluation.bootstrap import Interval
from models.evaluation.matching import PARTS, matched, part_of
from models.evaluation.measure import Evaluation, measure_images
from models.evaluation.mistakes import Mistake, worst_mistakes
from models.evaluation.names import JSON_FILE
from models.evaluation.page import HEADLINES, Material, document, write_evaluation
from models.evaluation.predictions import Predictions
from models.evaluation.requirements import Requirement
from models.evaluation.series_predictions import bundle_predictions
from models.networks.scoring import Scored
from models.series.aggregates import Head
from nightread.errors import UsageFault

part_option = click.option(
    "--part", type=click.Choice(PARTS), default="test", show_default=True, help="Part of the data to use."
)


@click.command("evaluate")
@click.argument("reference", metavar="BUNDLE")
@optional_data_options
@part_option
@click.option(
    "--night",
    metavar="DATE|last|all",
    help="Use past results and imported labels (`nightread labels`) instead of --data.",
)
@click.option(
    "--out",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for evaluation.json and evaluation.html [the bundle's folder, else NAME-evaluation].",
)
@click.option(
    "--require",
    "required",
    metavar="REQUIREMENT",
    multiple=True,
    help="Exit with code 1 unless the figure reaches this limit, for example 'auc>=0.9'; repeatable.",
)
@click.option("--json", "as_json", is_flag=True, help="Print all figures as JSON on standard output.")
@state_options
def evaluate_command(
    reference: str,
    data: str | None,
    labels_file: Path | None,
    seed: int,
    part: str,
    night: str | None,
    folder: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Measure how good a model is.

    The main figures are printed. A page is written with all figures, confidence intervals, curves, and the worst
    mistakes as pictures.

    BUNDLE is NAME[@VERSION] or the folder of a bundle. It is measured on labelled images (--data), or its results of a
    night are compared with labels that were imported afterwards (--night). The files that this command writes are not
    part of the bundle's digest. For series (--data dicom-series:FOLDER), a bundle with the unit series uses its
    aggregate or sequence head, as in production; series that its rules refuse are left out and counted.

    A requirement is FIGURE[LABEL]>=NUMBER, also with <=, > or <. Figures are accuracy, auc, recall, precision, f1,
    average_precision, loss, calibration_error and images, and for one label also specificity. FIGURE.low and
    FIGURE.high are the ends of the 95 % interval. Exit code 1: a requirement is not met; 2: a requirement is invalid,
    and nothing was measured.

    \b
    Examples:
      nightread models evaluate phantom --data phantom:1000
      nightread models evaluate bundles/xrays --data images:xrays --part validation --json
      nightread models evaluate chest --night last
      nightread models evaluate chest --data dicom:holdout --require "auc.low>=0.9" --require "recall[nodule]>=0.8"
    """  # noqa: D301 - click reads the backspace itself
    if (data is None) == (night is None):
        raise UsageFault("Give either labelled images (--data KIND:PATH) or a night (--night DATE).")
    required: tuple[str, ...] = options.pop("required")
    settings = settings_from(**options)
    bundle = named_bundle(reference, settings.bundle_folders)
    requirements = [Requirement.parse(text, bundle.labels) for text in required]
    if folder is not None:
        _create_folder(folder)
    if night is not None:
        found = night_results(bundle, settings, night)
        err.print(found.remark, markup=False)
        measured = _Measured(predictions=found.predictions, material=found.material, folder=found.folder)
    else:
        measured = _on_data(bundle, data or "", labels_file, seed, part)
    evaluation = measure_images(measured.predictions, seed=seed)
    results = [requirement.check(evaluation) for requirement in requirements]
    written = write_evaluation(
        folder or measured.folder,
        evaluation,
        predictions=measured.predictions,
        bundle=bundle,
        material=measured.material,
        mistakes=measured.mistakes,
        requirements=results,
    )
    if as_json:
        paths = {"written": [str(path) for path in written]}
        print_json(document(evaluation, bundle, measured.material, results) | paths)
    else:
        show_evaluation(out, evaluation, bundle)
        show_requirements(out, results)
        out.print(Text(f"Wrote {written[1]}"))
    if not all(result.met for result in results):
        sys.exit(1)


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """Results with their ground truth, and a description of the data."""

    predictions: Predictions
    material: Material
    folder: Path
    mistakes: list[Mistake] | None = None


def _create_folder(folder: Path) -> None:
    """Create the output folder before hours of scoring. Raises UsageFault if it cannot be created."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageFault(
            f"Cannot create {folder} ({type(error).__name__}). Choose another folder with --out."
        ) from error


def _on_data(bundle: Bundle, data: str, labels_file: Path | None, seed: int, part: str) -> _Measured:
    dataset = open_and_describe(data, labels_file, seed, err)
    _warn_of_foreign_images(bundle, dataset)
    usable = usable_examples((bundle,), matched(bundle, dataset, part_of(dataset, part)), part)
    scored = score_with_progress(bundle, usable.examples)
    predictions = bundle_predictions(bundle, scored, loaded_head(bundle))
    return _Measured(
        predictions=predictions,
        material=material_of(dataset, part, usable),
        folder=folder_for(bundle),
        mistakes=worst_mistakes(predictions, scored, usable.examples, bundle.spec),
    )


def _warn_of_foreign_images(bundle: Bundle, dataset: Dataset) -> None:
    """Say on standard error if a worker would reject some of the images, because the model was not made for them."""
    problem = next((why for kind in dataset.kinds if (why := refusal(bundle.domain, kind))), None)
    if problem is not None:
        err.print(f"Workers would reject some of these images: {problem.detail}", style="yellow", markup=False)


def named_bundle(reference: str, folders: tuple[Path, ...]) -> Bundle:
    """Load and verify a bundle. `reference` is a bundle's folder, or else NAME[@VERSION]."""
    folder = Path(reference)
    return load_bundle(folder) if (folder / CARD_FILE).is_file() else find_bundle(reference, folders)


def score_with_progress(bundle: Bundle, examples: Examples) -> Scored:
    """Load the network and score all frames, with a progress bar on standard error."""
    from models.networks.scoring import score  # noqa: PLC0415
    from models.runtimes.load import load_network  # noqa: PLC0415 - Keras takes seconds to import

    with progress_bar(f"scoring with {bundle.reference}", len(examples)) as advance:
        return score(load_network(bundle), examples, progress=advance)


def loaded_head(bundle: Bundle) -> Head | None:
    """Return the sequence head of a bundle; None if it has none."""
    if not bundle.has_head:
        return None
    from models.runtimes.sequence_head import load_head  # noqa: PLC0415 - Keras takes seconds to import

    return load_head(bundle)


def folder_for(bundle: Bundle) -> Path:
    """Return the bundle's own folder if it is writable and has no evaluation yet, else a folder in the current folder.

    An existing evaluation is not replaced, because it was made only once, on the test part.
    """
    is_free = os.access(bundle.path, os.W_OK) and not (bundle.path / JSON_FILE).exists()
    return bundle.path if is_free else Path(f"{bundle.name}-evaluation")


def show_evaluation(console: Console, evaluation: Evaluation, bundle: Bundle) -> None:
    """Print the main figures; the page has all of them."""
    table = make_table(console, bundle.reference, "", "95 % interval", right=[""])
    table.add_row("images", f"{evaluation.images:,}", "")
    table.add_row("log loss", figure(evaluation.loss), "")
    for name, title in HEADLINES.items():
        average = "macro " if name.startswith("macro") and len(evaluation.labels) > 1 else ""
        table.add_row(f"{average}{title}", figure(getattr(evaluation, name)), span(evaluation.intervals.get(name)))
    table.add_row("calibration error", figure(evaluation.reliability.ece), "")
    show(console, table)
    console.print()
    _show_classes(console, evaluation)
    for note in evaluation.notes:
        console.print(Text(note, style="yellow"))
    of = evaluation.resampling
    console.print(Text(f"Intervals: {of.rounds:,} bootstrap rounds over {of.units:,} {of.unit}s.", style="dim"))
    if bundle.not_for_diagnosis:
        console.print(NOT_FOR_DIAGNOSIS, style="italic")


def _show_classes(console: Console, evaluation: Evaluation) -> None:
    headings = ("label", "images", "precision", "recall", "specificity", "F1", "ROC-AUC", "average precision")
    table = make_table(console, *headings, right=headings[1:])
    for of in evaluation.classes:
        figures = of.precision, of.recall, of.specificity, of.f1, of.roc_auc, of.average_precision
        table.add_row(Text(of.label), f"{of.support:,}", *map(figure, figures))
    show(console, table)


def figure(value: float | None) -> str:
    """Format a figure with four decimals; `n/a` if it is undefined for these data."""
    return "n/a" if value is None else f"{value:.4f}"


def span(found: Interval | None) -> str:
    """Format an interval as `0.95 to 0.97`, or return an empty string."""
    return "" if found is None or found.low is None else f"{figure(found.low)} to {figure(found.high)}"
