"""Run `nightread models train-head`: train a sequence head, and write a new version of the model with this head."""

from pathlib import Path
from typing import Any

import click
from rich.text import Text

from cli.inputs.options import settings_from, state_options
from cli.models.compare import show_comparison
from cli.models.data_options import data_options, open_and_describe
from cli.models.evaluate import loaded_head, named_bundle, score_with_progress
from cli.models.usable_examples import UsableExamples, material_of, usable_examples
from cli.output.console import err, out, print_json
from models.bundle import Bundle
from models.datasets.dataset import Dataset
from models.evaluation.admission import counts_by_reason
from models.evaluation.comparison import Comparison, compare
from models.evaluation.matching import matched, part_of
from models.evaluation.measure import Evaluation, measure_images
from models.evaluation.mistakes import worst_mistakes
from models.evaluation.operating import YOUDEN, Policy
from models.evaluation.page import write_evaluation
from models.evaluation.series_predictions import bundle_predictions
from models.networks.scoring import Scored
from nightread.errors import UsageFault


@click.command("train-head")
@click.argument("reference", metavar="BUNDLE")
@data_options
@click.option("--version", required=True, help="Version of the new bundle, which has the head.")
@click.option("--epochs", type=click.IntRange(min=1), default=60, show_default=True, help="Largest number of epochs.")
@click.option(
    "--patience",
    type=click.IntRange(min=1),
    default=15,
    show_default=True,
    metavar="EPOCHS",
    help="Stop after this many epochs without improvement, and keep the best epoch.",
)
@click.option(
    "--width", type=click.IntRange(1, 1024), default=16, show_default=True, help="Features of each convolution."
)
@click.option(
    "--learning-rate",
    type=click.FloatRange(0, 1, min_open=True),
    default=5e-3,
    show_default=True,
    help="Learning rate of Adam.",
)
@click.option(
    "--threshold",
    "threshold_policy",
    default=YOUDEN,
    show_default=True,
    metavar="POLICY",
    help="How the threshold of a finding is chosen on the validation part, as for `models train`.",
)
@click.option(
    "--out",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the new bundle [NAME-VERSION in the bundles of the state folder].",
)
@click.option("--json", "as_json", is_flag=True, help="Print recipe, history and figures as JSON on standard output.")
@state_options
def train_head_command(
    reference: str,
    data: str,
    labels_file: Path | None,
    seed: int,
    version: str,
    folder: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Train a sequence head for a model of slices.

    A sequence head is a small second network: it makes the result of a series from the scores of all its slices in
    their order. The model scores the slices and does not change; a new version of the model gets the head. Both
    versions are measured once, on the test part. Use the same data, labels and seed as in the training of the model, so
    that the test part is new for both networks. Series that the rules of the model refuse are left out of all parts.

    \b
    Examples:
      nightread models train-head ct-nodule --version 1.2 --data dicom-series:series --labels slices.csv
      nightread models train-head bundles/ct --version 2.0 --data dicom-series:series --out bundles/ct-head --json
    """  # noqa: D301 - click reads the backspace itself
    recipe = {name: options.pop(name) for name in ("epochs", "patience", "width", "learning_rate")}
    policy = options.pop("threshold_policy")
    Policy.parse(policy)
    settings = settings_from(**options)
    bundle = named_bundle(reference, settings.bundle_folders)
    target = folder or settings.bundle_folders[0] / f"{bundle.name}-{version}"
    _require_new(bundle, version, target)
    dataset = open_and_describe(data, labels_file, seed, err if as_json else out)
    if not dataset.of_series:
        raise UsageFault(f"{dataset.reference} has no series: give --data dicom-series:FOLDER.")
    train, refused_train = _to_learn_from(bundle, dataset, "train")
    validation, refused_validation = _to_learn_from(bundle, dataset, "validation")
    usable = _usable(bundle, dataset, "test")
    test = score_with_progress(bundle, usable.examples)
    refused = {"train": refused_train, "validation": refused_validation, "test": counts_by_reason(usable.refused)}

    from models.training.fit_head import HeadRecipe  # noqa: PLC0415 - Keras takes seconds to import
    from models.training.train_head import HeadRequest, train_head  # noqa: PLC0415
    from models.training.training_record import data_json  # noqa: PLC0415

    request = HeadRequest(
        bundle=bundle,
        version=version,
        folder=target,
        train=train,
        validation=validation,
        data={**data_json(dataset), "refused_stacks": refused},
        recipe=HeadRecipe(seed=seed, **recipe),
        threshold_policy=policy,
    )
    made, record = train_head(request)
    before, after = (bundle_predictions(each, test, loaded_head(each)) for each in (bundle, made))
    evaluations = measure_images(before, seed=seed), measure_images(after, seed=seed)
    write_evaluation(
        made.path,
        evaluations[1],
        predictions=after,
        bundle=made,
        material=material_of(dataset, "test", usable),
        mistakes=worst_mistakes(after, test, usable.examples, made.spec),
    )
    comparison = compare(before, after, evaluations, seed=seed)
    if as_json:
        print_json(_json(made, record, evaluations, comparison))
    else:
        _show(made, record, comparison, bundle)


def _require_new(bundle: Bundle, version: str, target: Path) -> None:
    """Raise UsageFault if the new version cannot be written; this is checked before the slices are scored."""
    if version == bundle.version:
        raise UsageFault(f"{bundle.reference} stays as it is, because results refer to it: give a new --version.")
    if target.exists():
        raise UsageFault(f"{target} exists already. Choose another folder with --out, or another --version.")


def _to_learn_from(bundle: Bundle, dataset: Dataset, part: str) -> tuple[Scored, dict[str, int]]:
    """Return the scores of the slices of one part and, by reason, the number of stacks that the bundle refuses."""
    usable = _usable(bundle, dataset, part)
    return score_with_progress(bundle, usable.examples), counts_by_reason(usable.refused)


def _usable(bundle: Bundle, dataset: Dataset, part: str) -> UsableExamples:
    return usable_examples((bundle,), matched(bundle, dataset, part_of(dataset, part)), part)


def _json(
    made: Bundle, record: dict[str, Any], evaluations: tuple[Evaluation, Evaluation], comparison: Comparison
) -> dict[str, Any]:
    return {
        "model": made.reference,
        "digest": made.digest,
        "folder": str(made.path),
        "series": made.to_json()["series"],
        "training": record,
        "evaluation": evaluations[1].to_json(),
        "without_head": evaluations[0].to_json(),
        "comparison": comparison.to_json(),
    }


def _show(made: Bundle, record: dict[str, Any], comparison: Comparison, bundle: Bundle) -> None:
    epochs, best = len(record["history"]["loss"]), record["best_epoch"]
    out.print(
        Text(f"Trained {epochs} epochs; epoch {best} was the best and is kept. {record['parameters']:,} parameters.")
    )
    out.print(Text(f"Wrote {made.reference} (digest {made.digest[:12]}) to {made.path}"))
    if not record["onnx"]["exported"]:
        out.print(Text(f"The head has no ONNX file: {record['onnx']['reason']}."), style="yellow")
    thresholds = made.series.thresholds if made.series is not None else {}
    levels = ", ".join(f"{label} {level:.3f}" for label, level in thresholds.items())
    out.print(Text(f"Thresholds of the series: {levels or 'those of a slice'}."))
    out.print()
    show_comparison(out, comparison, (bundle, made))
