"""What came of a training, for people and for programs."""

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from cli.models.evaluate import show_evaluation
from cli.output.tables import duration
from models.training.request import TrainingRequest

if TYPE_CHECKING:  # it brings Keras with it
    from models.training.train import TrainingResult


def report_json(request: TrainingRequest, trained: "TrainingResult") -> dict[str, Any]:
    """One JSON document: the bundle, the training record, the figures of the test part."""
    from models.training.training_record import record_json  # noqa: PLC0415 - Keras takes seconds to import

    bundle = trained.bundle
    return {
        "model": bundle.reference,
        "digest": bundle.digest,
        "folder": str(bundle.path),
        "thresholds": dict(bundle.postprocessing.thresholds),
        "temperature": bundle.postprocessing.temperature,
        "training": record_json(request.dataset, request.recipe, trained.run),
        "evaluation": trained.evaluation.to_json(),
    }


def show_report(console: Console, trained: "TrainingResult") -> None:
    """What was made, and how it did on the test part."""
    run, bundle = trained.run, trained.bundle
    console.print(Text(f"{run.epochs} epochs in {duration(run.seconds)}, {run.parameters:,} parameters."))
    console.print(Text(f"{bundle.reference} {bundle.digest[:12]} in {bundle.path}"))
    levels = ", ".join(
        f"{label} {level:.3f}" for label, level in bundle.postprocessing.thresholds.items() if level is not None
    )
    console.print(
        Text(f"Thresholds: {levels or 'the highest score'}; temperature {bundle.postprocessing.temperature:.3f}.")
    )
    console.print()
    show_evaluation(console, trained.evaluation, bundle)
