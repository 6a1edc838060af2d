"""The networks that are loaded, and the rules that say which images they get."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import NamedTuple

from db import ledger
from db.engine import Database
from db.queries import Route, routes_in_force
from imaging.dicom_image import DicomImage
from imaging.spec import InputSpec
from imaging.traits import Traits, read_traits
from models.bundle import Bundle
from models.catalogue import find_bundle
from models.routing import RouteMatch, Rule, Rules
from nightread.clock import utc_now
from nightread.errors import StopWork, UsageFault
from nightread.gc_freeze import freeze_gc
from nightread.settings import Settings
from worker.inference.predictor import Predictor

log = logging.getLogger(__name__)

_ANY_IMAGE = Traits()
_REMEMBERED = 4096
_FLOAT32_BYTES = 4


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """One network that is loaded, under its id in the record."""

    predictor: Predictor
    bundle_id: int

    @property
    def bundle(self) -> Bundle:
        """What the network belongs to."""
        return self.predictor.bundle


class Assignment(NamedTuple):
    """Where one image goes."""

    matches: tuple[RouteMatch, ...]
    """The networks, the answering one first; none: no rule takes the image."""
    specs: tuple[InputSpec, ...]
    """What its frames are prepared for: each way once, however many networks share it."""
    spec_of: tuple[int, ...]
    """For each match the position of its spec."""
    frame_bytes: int
    """Of one frame, prepared for each of the specs."""


class ModelSet:
    """Who reads what. Immutable: new rules make a new panel."""

    def __init__(self, rules: Rules, models: Mapping[str, LoadedModel], routes: tuple[Route, ...] = ()) -> None:
        """`readers` by `NAME@VERSION`, one for each bundle that a rule names."""
        self.models = models
        self.routes = routes
        """What the rules were made of; empty where `--model` names the one bundle."""
        self._rules = rules
        self._assigned = lru_cache(_REMEMBERED)(self._assign)

    @property
    def specs(self) -> tuple[InputSpec, ...]:
        """Every way in which a frame may have to be prepared."""
        return tuple({model.bundle.spec: None for model in self.models.values()})

    def on_trial(self, bundle: str) -> bool:
        """Whether no image has its result, or a further one, from this bundle: its failures must cost nobody."""
        return self._rules.on_trial(bundle)

    def assign(self, dicom_image: DicomImage, source: str) -> Assignment:
        """Where an image goes; nights repeat themselves, so that the rules are asked once per kind of image."""
        return self._assigned(read_traits(dicom_image, source) if self._rules.needs_headers else _ANY_IMAGE)

    def _assign(self, traits: Traits) -> Assignment:
        matches = self._rules.choose(traits)
        wanted = [self.models[match.bundle].bundle.spec for match in matches]
        specs = tuple(dict.fromkeys(wanted))
        frame_bytes = sum(prod(spec.shape) * _FLOAT32_BYTES for spec in specs)
        return Assignment(matches, specs, tuple(specs.index(spec) for spec in wanted), frame_bytes)


def open_model_set(settings: Settings, database: Database) -> ModelSet:
    """Load what `--model` names, else what the rules in force name. Raises StopWork and UsageFault."""
    if settings.model is None:
        return _routed_model_set(settings, database, routes_in_force(database), {})
    model = _load(find_bundle(settings.model, settings.bundle_folders), database)
    reference = model.bundle.reference
    return ModelSet(Rules([Rule(bundle=reference)]), {reference: model})


def reloaded(model_set: ModelSet, settings: Settings, database: Database) -> ModelSet:
    """The panel of the rules that are in force now: the same one unless they changed. Raises StopWork."""
    if settings.model is not None:
        return model_set
    routes = routes_in_force(database)
    if routes == model_set.routes:
        return model_set
    log.info("the routing rules changed", extra={"rules": len(routes)})
    return _routed_model_set(settings, database, routes, model_set.models)


def _routed_model_set(
    settings: Settings, database: Database, routes: tuple[Route, ...], loaded: Mapping[str, LoadedModel]
) -> ModelSet:
    rules = Rules([_rule(route) for route in routes])
    models: dict[str, LoadedModel] = {}
    for route in routes:
        model = models.get(route.bundle) or loaded.get(route.bundle)
        if model is None or model.bundle.digest != route.digest:
            model = _load(_named_by(route, settings), database)
        models[route.bundle] = model
    return ModelSet(rules, models, routes)


def _rule(route: Route) -> Rule:
    try:
        return Rule.from_texts(bundle=route.bundle, role=route.role, conditions=route.conditions, route_id=route.id)
    except (UsageFault, ValueError) as fault:
        raise StopWork(
            f"routing rule {route.id} says what this release does not know: install the release that made it, "
            f"or take it out with `nightread models deactivate --rule {route.id}`."
        ) from fault


def _named_by(route: Route, settings: Settings) -> Bundle:
    try:
        bundle = find_bundle(route.bundle, settings.bundle_folders)
    except UsageFault as fault:
        raise StopWork(
            f"routing rule {route.id} names a bundle that this host lacks: {fault}. "
            "Copy its folder here, or take the rule out with `nightread models deactivate`."
        ) from fault
    if bundle.digest != route.digest:
        raise StopWork(
            f"routing rule {route.id}: the folder {bundle.path} holds another {route.bundle} than was activated "
            "(wrong digest). Copy the folder that was activated here, or activate this one."
        )
    return bundle


def _load(bundle: Bundle, database: Database) -> LoadedModel:
    predictor = Predictor.load(bundle)
    freeze_gc()
    bundle_id = ledger.register_bundle(
        database,
        name=bundle.name,
        version=bundle.version,
        digest=bundle.digest,
        labels=bundle.labels,
        normal_label=bundle.postprocessing.normal_label,
        now=utc_now(),
    )
    return LoadedModel(predictor=predictor, bundle_id=bundle_id)
