"""Warn if workers do not use the routing rules, or do not all use the same model."""

from collections.abc import Iterator, Sequence

from db.queries import Worker
from nightread.wording import counted


def worker_model_warnings(workers: Sequence[Worker], rules: int) -> Iterator[str]:
    """Warn if live workers ignore the routing rules, have neither rules nor a model, or use different models.

    `rules` is the number of active routing rules.
    """
    alive = [worker for worker in workers if worker.alive]
    fixed = [worker for worker in alive if worker.model is not None]
    routed = [worker for worker in alive if worker.model is None]
    if rules:
        for worker in fixed:
            yield (
                f"Worker {worker.node} runs with --model {worker.model} and ignores the {_rules(rules)}. "
                "Start this worker without --model (and without NIGHTREAD_MODEL) to use the rules."
            )
    elif routed:
        names = ", ".join(worker.node for worker in routed)
        yield (
            f"There are no routing rules and no --model for {names}: images are rejected (no_model). "
            "Add a rule with `nightread models activate`, or start with --model."
        )
    if len(_different({worker.model for worker in alive})) > 1:
        models = ", ".join(f"{worker.node}: {worker.model or 'the rules'}" for worker in alive)
        yield f"Workers use different models, so that results depend on which worker takes an image ({models})."


def _different(models: set[str | None]) -> set[str | None]:
    """Return the models that differ from each other. `NAME` is left out if another worker reports `NAME@VERSION`.

    A worker that still loads its network reports only the name; after that it reports the version too.
    """
    names = {model.partition("@")[0] for model in models if model and "@" in model}
    return models - names


def _rules(number: int) -> str:
    return counted(number, "routing rule")
