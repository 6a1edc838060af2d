"""Check the models that are configured."""

from collections.abc import Iterator

from cli.checks.check import Check
from cli.models.active import read_active
from models.bundle import Bundle
from models.catalogue import find_bundle
from models.runtimes.load import choose_runtime, is_installed
from nightread.errors import StopWork, UsageFault
from nightread.hardware import gpus
from nightread.runtime_names import RUNTIMES
from nightread.settings import Settings


def check_models(settings: Settings) -> Iterator[Check]:
    """Check the model that NIGHTREAD_MODEL names for all images, else each model that a routing rule names."""
    references = [settings.model] if settings.model else sorted(read_active(settings).references)
    if not references:
        yield Check.warn(
            "model",
            "none configured",
            "Every image will be rejected (no_model). Name a model with --model (`nightread models list` shows them), "
            "or add routing rules with `nightread models activate`.",
        )
    for reference in references:
        try:
            bundle = find_bundle(reference, settings.bundle_folders)
        except (StopWork, UsageFault) as problem:
            yield Check.fail("model", reference, str(problem))
        else:
            yield _runs_here(bundle, settings)


def _runs_here(bundle: Bundle, settings: Settings) -> Check:
    """Check that an installed runtime can run the model.

    A host without any runtime passes, because it may run only producers.
    """
    try:
        runtime = choose_runtime(bundle, settings.runtime, on_gpu=bool(gpus(settings)))
    except StopWork as problem:
        if any(map(is_installed, RUNTIMES)):
            return Check.fail("model", f"{bundle.reference}, digest verified, cannot run here", str(problem))
        return Check.ok("model", f"{bundle.reference}, digest verified")
    return Check.ok("model", f"{bundle.reference}, digest verified, runs on {runtime}")
