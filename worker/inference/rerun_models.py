"""Load the networks of re-runs, which no routing rule needs to name."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from db.engine import Database
from db.queries import bundle_by_id
from models.catalogue import bundle_of_result
from models.routing import Role, Rule, Rules
from nightread.clock import Clock
from nightread.errors import ImageError, StopWork, UsageFault
from nightread.gc_freeze import freeze_gc
from nightread.reasons import Reason
from nightread.settings import Settings
from worker.inference.model_set import LoadedModel, ModelSet, load_model

log = logging.getLogger(__name__)

_KEPT = timedelta(minutes=10)
"""A network that no batch has used for this time is dropped: its memory belongs to the networks of arrivals."""


class RerunModels:
    """Keeps the networks of re-runs loaded while they are in use."""

    def __init__(self, settings: Settings, database: Database, clock: Clock) -> None:
        self._settings = settings
        self._database = database
        self._clock = clock
        self._loaded: dict[int, LoadedModel] = {}
        self._used_at: dict[int, datetime] = {}

    def model_set(self, bundle_ids: Sequence[int], routed: ModelSet) -> ModelSet:
        """Return the models of these bundles, with one rule for each that takes every image.

        Models of the `routed` set are used and not loaded twice. All rules are shadow rules, so that a network that
        fails costs its own results only. Raises ImageError(model_missing) if one of them cannot be loaded.
        """
        models = {}
        for bundle_id in bundle_ids:
            model = self._find(bundle_id, routed)
            models[model.bundle.reference] = model
            self._used_at[bundle_id] = self._clock()
        rules = Rules([Rule(bundle=reference, role=Role.SHADOW) for reference in models])
        return ModelSet(rules, models, any_domain=self._settings.any_domain)

    def drop_unused(self) -> None:
        """Drop the networks that were not used for ten minutes."""
        old = [bundle_id for bundle_id, at in self._used_at.items() if self._clock() - at > _KEPT]
        for bundle_id in old:
            del self._used_at[bundle_id]
            self._loaded.pop(bundle_id, None)
        if old:
            freeze_gc()

    def _find(self, bundle_id: int, routed: ModelSet) -> LoadedModel:
        for model in routed.models.values():
            if model.bundle_id == bundle_id:
                return model
        if bundle_id not in self._loaded:
            self._loaded[bundle_id] = self._load(bundle_id)
        return self._loaded[bundle_id]

    def _load(self, bundle_id: int) -> LoadedModel:
        known = bundle_by_id(self._database, bundle_id)
        reference = f"{known.name}@{known.version}" if known else "unknown"
        try:
            found = bundle_of_result(reference, known.digest if known else "", self._settings.bundle_folders)
            if found is not None:
                return load_model(found, self._settings, self._database)
        except (StopWork, UsageFault) as error:
            log.warning("the model of a re-run cannot be loaded: %s", error, extra={"bundle": bundle_id})
        raise ImageError(Reason.MODEL_MISSING)
