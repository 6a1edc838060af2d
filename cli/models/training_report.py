"""What came of a training, for people and for programs."""

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from cli.models.evaluate import show_evaluation
from cli.tables import duration
from models.order import Order

if TYPE_CHECKING:  # it brings Keras with it
    from models.train import Trained


def report_json(order: Order, trained: "Trained") -> dict[str, Any]:
    """One JSON document: the bundle, the training record, the figures of the test part."""
    from models.training_record import record_json  # noqa: PLC0415 - Keras takes seconds to import

    bundle = trained.bundle
    return {
        "model": bundle.reference,
        "digest": bundle.digest,
        "folder": str(bundle.path),
        "thresholds": dict(bundle.verdict.thresholds),
        "temperature": bundle.verdict.temperature,
        "training": record_json(order.dataset, order.recipe, trained.run),
        "evaluation": trained.evaluation.to_json(),
    }


def show_report(console: Console, trained: "Trained") -> None:
    """What was made, and how it did on the test part."""
    run, bundle = trained.run, trained.bundle
    console.print(Text(f"{run.epochs} epochs in {duration(run.seconds)}, {run.parameters:,} parameters."))
    console.print(Text(f"{bundle.reference} {bundle.digest[:12]} in {bundle.path}"))
    levels = ", ".join(
        f"{label} {level:.3f}" for label, level in bundle.verdict.thresholds.items() if level is not None
    )
    console.print(Text(f"Thresholds: {levels or 'the highest score'}; temperature {bundle.verdict.temperature:.3f}."))
    console.print()
    show_evaluation(console, trained.evaluation, bundle)
