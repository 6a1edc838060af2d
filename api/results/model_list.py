"""List the models that this host finds, and whether rules or workers use them."""

from typing import Any

from api.context import ApiContext
from db import queries
from models.catalogue import Entry, entries


def model_list(context: ApiContext) -> list[dict[str, Any]]:
    """Return one object per model. Digests are not verified here; a worker verifies them before it uses a model."""
    used = {route.bundle for route in queries.routes_in_force(context.database)}
    workers = queries.workers(context.database, now=context.clock())
    used |= {worker.model for worker in workers if worker.alive and worker.model}
    return [_as_json(entry, is_active=entry.reference in used) for entry in entries(context.settings.bundle_folders)]


def _as_json(entry: Entry, *, is_active: bool) -> dict[str, Any]:
    return {"name": entry.name, "version": entry.version, "active": is_active, "problem": entry.problem}
