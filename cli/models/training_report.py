"""Print the result of a training as text or JSON."""

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from cli.models.evaluate import show_evaluation
from cli.wording import counted
from models.training.request import TrainingRequest
from nightread.wording import duration

if TYPE_CHECKING:  # the import loads Keras
    from models.training.train import TrainingResult


def report_json(request: TrainingRequest, trained: "TrainingResult") -> dict[str, Any]:
    """Return the bundle, the training record and the figures of the test part as one JSON document."""
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
    """Print the bundle and its figures on the test part."""
    run, bundle = trained.run, trained.bundle
    console.print(
        Text(f"Trained {counted(run.epochs, 'epoch')} in {duration(run.seconds)}, {run.parameters:,} parameters.")
    )
    console.print(Text(f"Wrote {bundle.reference} (digest {bundle.digest[:12]}) to {bundle.path}"))
    levels = ", ".join(
        f"{label} {level:.3f}" for label, level in bundle.postprocessing.thresholds.items() if level is not None
    )
    temperature = bundle.postprocessing.temperature
    console.print(Text(f"Thresholds: {levels or 'none, the highest score counts'}; temperature {temperature:.3f}."))
    console.print()
    show_evaluation(console, trained.evaluation, bundle)
