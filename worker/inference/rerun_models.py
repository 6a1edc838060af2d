"""Load the networks of re-runs, which no routing rule needs to name."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from db.engine import Database
from db.queries import bundle_by_id
from models.catalogue import bundle_of_result, entries
from models.routing import Role, Rule, Rules
from nightread.clock import Clock
from nightread.errors import ImageError
from nightread.gc_freeze import freeze_gc
from nightread.reasons import Reason
from nightread.settings import Settings
from worker.inference.model_set import LoadedModel, ModelSet, load_model

log = logging.getLogger(__name__)

_KEPT = timedelta(minutes=10)
"""A network that no batch has used for this time is dropped, so that networks for new arrivals can use its memory."""
_NO_FOLDER = "The worker's host does not have the model {0}."
_OTHER_DIGEST = "The folder of {0} on the worker's host does not hold the model of this re-run: its digest differs."
_NOT_LOADED = "The worker cannot load the model {0}. Its log says why."
_TWO = "Two models that are named {0} were requested for this image at the same time, and this model was not used."
_COPY = "Copy the folder of the model there, and run `nightread rerun --model {0}` again."
_AGAIN = "Run `nightread rerun --model {0}` again."


@dataclass(frozen=True, kw_only=True, slots=True)
class RerunModelSet:
    """The models of a re-run that this host has, and the errors of its other models."""

    models: ModelSet
    """One rule for each model, which takes every image."""
    missing: Mapping[int, ImageError]
    """The error (model_missing) of the rows of each bundle without a usable model, by the id of the bundle."""


class RerunModels:
    """Keeps the networks of re-runs loaded while they are in use."""

    def __init__(self, settings: Settings, database: Database, clock: Clock) -> None:
        self._settings = settings
        self._database = database
        self._clock = clock
        self._loaded: dict[int, LoadedModel] = {}
        self._used_at: dict[int, datetime] = {}

    def model_set(self, bundle_ids: Sequence[int], routed: ModelSet) -> RerunModelSet:
        """Return the models of these bundles. If a model cannot be loaded, the others are still returned.

        Models of the `routed` set are not loaded a second time. All rules of the result are shadow rules, so that a
        network that fails loses only its own results.
        """
        models: dict[str, LoadedModel] = {}
        missing = {}
        for bundle_id in bundle_ids:
            try:
                model = self._find(bundle_id, routed)
            except ImageError as error:
                missing[bundle_id] = error
                continue
            self._used_at[bundle_id] = self._clock()
            reference = model.bundle.reference
            if reference in models:  # one of them was loaded before its folder was replaced
                missing[bundle_id] = _missing(_TWO, reference, _AGAIN)
                continue
            models[reference] = model
        rules = Rules([Rule(bundle=reference, role=Role.SHADOW) for reference in models])
        return RerunModelSet(models=ModelSet(rules, models, any_domain=self._settings.any_domain), missing=missing)

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
        folders = self._settings.bundle_folders
        try:
            found = bundle_of_result(reference, known.digest if known else "", folders)
            if found is not None:
                return load_model(found, self._settings, self._database)
            is_other = any(entry.reference == reference for entry in entries(folders))
        except SQLAlchemyError:
            raise
        except Exception as error:
            log.warning("the model of a re-run cannot be loaded: %s", error, extra={"bundle": bundle_id})
            raise _missing(_NOT_LOADED, reference) from error
        raise _missing(_OTHER_DIGEST if is_other else _NO_FOLDER, reference)


def _missing(why: str, reference: str, remedy: str = _COPY) -> ImageError:
    return ImageError(Reason.MODEL_MISSING, f"{why} {remedy}".format(reference))
