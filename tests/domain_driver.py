"""Analyse images with models that have domains."""

from dataclasses import replace

from worker_driver import BUNDLE, FakeNetwork, WorkerDriver

from db import ledger, queries
from models.domain import Domain
from models.routing import Role, Rule, Rules
from worker.inference.model_set import LoadedModel, ModelSet
from worker.inference.predictor import Predictor


def model(worker_driver: WorkerDriver, domain: Domain | None, name: str = "chest") -> LoadedModel:
    """Return a loaded model with this domain, registered in the database."""
    bundle = replace(BUNDLE, name=name, domain=domain)
    bundle_id = ledger.register_bundle(
        worker_driver.ledger_driver.database,
        name=name,
        version=bundle.version,
        digest=name.ljust(64, "0"),
        labels=bundle.labels,
        normal_label=bundle.postprocessing.normal_label,
        now=worker_driver.ledger_driver.clock(),
    )
    return LoadedModel(predictor=Predictor(bundle, FakeNetwork()), bundle_id=bundle_id)


def analysed(
    worker_driver: WorkerDriver, *models: tuple[LoadedModel, Role], any_domain: bool = False
) -> dict[str, tuple[str, str | None, list[str] | None]]:
    """Analyse the inbox with these models, and return state, label or reason, and remarks by file name."""
    rules = Rules([Rule(bundle=each.bundle.reference, role=role) for each, role in models])
    loaded = {each.bundle.reference: each for each, _ in models}
    model_set = ModelSet(rules, loaded, any_domain=any_domain)
    worker_driver.analyse(worker_driver.context(model_set=model_set, any_domain=any_domain))
    rows = queries.images(worker_driver.ledger_driver.database)
    return {
        row["uri"].rpartition("/")[2]: (row["state"], row["label"] or row["reason"], row["remarks"]) for row in rows
    }
