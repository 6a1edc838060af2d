"""Load the networks that the routing rules name, and assign images to them."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import NamedTuple

from db import ledger
from db.drift.references import offer_reference
from db.engine import Database
from db.queries import Route, routes_in_force
from imaging.dicom_image import DicomImage
from imaging.kind import COLOUR, GREY, ImageKind
from imaging.read_kind import read_kind
from imaging.spec import InputSpec
from imaging.traits import Traits, read_traits
from models.bundle import Bundle
from models.catalogue import find_bundle
from models.domain import refusal
from models.drift_reference import read_reference
from models.input_range import InputRange
from models.routing import RouteMatch, Rule, Rules
from models.runtimes.sequence_head import load_head
from models.series.aggregates import Head
from nightread.clock import utc_now
from nightread.errors import RejectImage, StopWork, UsageFault
from nightread.gc_freeze import freeze_gc
from nightread.hardware import gpus
from nightread.settings import Settings
from worker.inference.predictor import Predictor, largest_micro_batch

log = logging.getLogger(__name__)

_ANY_IMAGE = Traits()
_ANY_KIND = ImageKind()
_CACHED_ASSIGNMENTS = 4096
_FLOAT32_BYTES = 4


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """One loaded network, with the id of its bundle in the database."""

    predictor: Predictor
    bundle_id: int
    head: Head | None = None
    """The sequence head, if the bundle has one."""

    @property
    def bundle(self) -> Bundle:
        """Return the bundle of the network."""
        return self.predictor.bundle

    @property
    def runtime(self) -> str:
        """Return the name and version of the runtime that runs the network."""
        return self.predictor.network.runtime

    @property
    def input_range(self) -> InputRange | None:
        """Return the intensities of the training images, if the bundle states them."""
        return self.bundle.domain.intensities if self.bundle.domain else None


class Assignment(NamedTuple):
    """The networks for one image, and how its frames must be prepared."""

    matches: tuple[RouteMatch, ...]
    """The matched rules; the first gives the answer, unless it is a shadow rule. Empty if no rule matches."""
    specs: tuple[InputSpec, ...]
    """The distinct input specs of the networks that analyse the image; equal specs share the prepared frames."""
    targets: tuple[tuple[str, int], ...]
    """The bundles that analyse the image, each with the index of its spec in `specs`."""
    frame_bytes: int
    """Bytes of one frame after it is prepared (float32) for all of the specs."""
    refused: Mapping[str, RejectImage]
    """The matched bundles whose domain excludes the image, each with the reason."""


class ModelSet:
    """The loaded models and the routing rules. Immutable: changed rules make a new ModelSet."""

    def __init__(
        self,
        rules: Rules,
        models: Mapping[str, LoadedModel],
        routes: tuple[Route, ...] = (),
        *,
        any_domain: bool = False,
    ) -> None:
        """Create a model set. `models` has one entry, by `NAME@VERSION`, for each bundle that a rule names.

        With `any_domain` the domains of the bundles are not checked.
        """
        self.any_domain = any_domain
        domains = [] if any_domain else [model.bundle.domain for model in models.values()]
        samples = {domain.samples for domain in domains if domain}
        self.needs_colour = (COLOUR,) in samples
        """Whether a bundle was made for coloured images only: it takes an image if one of its frames is coloured."""
        self.depends_on_colour = self.needs_colour or (GREY,) in samples
        """Whether a bundle takes only grey or only coloured images, so that coloured frames must be found."""
        self.models = models
        self.routes = routes
        """The rows of the database from which the rules were made; empty if `--model` names the only bundle."""
        self.runtimes = ", ".join(sorted({model.runtime for model in models.values()})) or None
        """The runtimes of the networks with their versions, as stored for each batch; None without networks."""
        self.of_series = any(model.bundle.series is not None for model in models.values())
        """Whether a bundle has the unit `series`, so that the position of a damaged slice must be known."""
        needing = [model.bundle.spec.needs_neighbours for model in models.values()]
        self.needs_neighbours = any(needing)
        """Whether a network needs neighbouring slices as input."""
        self.only_neighbours = self.needs_neighbours and all(needing)
        """Whether every network needs neighbouring slices as input."""
        self._rules = rules
        self._assigned = lru_cache(_CACHED_ASSIGNMENTS)(self._assign)

    @property
    def specs(self) -> tuple[InputSpec, ...]:
        """Return the distinct input specs of all loaded models."""
        return tuple({model.bundle.spec: None for model in self.models.values()})

    @property
    def rules(self) -> Rules:
        """Return the routing rules."""
        return self._rules

    @property
    def frame_bytes(self) -> int:
        """Return the bytes of one frame after it is prepared (float32) for all models."""
        return sum(prod(spec.shape) * _FLOAT32_BYTES for spec in self.specs)

    def needs_geometry(self, matches: tuple[RouteMatch, ...]) -> bool:
        """Return whether a matched bundle has the unit `series`, so that the positions of slices must be known."""
        return self.of_series and any(self.models[match.bundle].bundle.series is not None for match in matches)

    def is_shadow(self, bundle: str) -> bool:
        """Return whether only shadow rules name the bundle, so that its failure must not affect any result."""
        return self._rules.is_shadow(bundle)

    def assign(self, dicom_image: DicomImage, source: str, kind: ImageKind | None = None) -> Assignment:
        """Return the networks for an image. `kind`, if given, replaces the kind that is read from the header.

        The result is cached.
        """
        return self._assigned(
            read_traits(dicom_image, source) if self._rules.needs_headers else _ANY_IMAGE,
            _ANY_KIND if self.any_domain else kind or read_kind(dicom_image),
        )

    def _assign(self, traits: Traits, kind: ImageKind) -> Assignment:
        matches = self._rules.choose(traits)
        bundles = {match.bundle: self.models[match.bundle].bundle for match in matches}
        refusals = {name: None if self.any_domain else refusal(bundle.domain, kind) for name, bundle in bundles.items()}
        taking = {name: bundle.spec for name, bundle in bundles.items() if refusals[name] is None}
        specs = tuple(dict.fromkeys(taking.values()))
        return Assignment(
            matches=matches,
            refused={name: why for name, why in refusals.items() if why is not None},
            targets=tuple((name, specs.index(spec)) for name, spec in taking.items()),
            specs=specs,
            frame_bytes=sum(prod(spec.shape) * _FLOAT32_BYTES for spec in specs),
        )


def open_model_set(settings: Settings, database: Database) -> ModelSet:
    """Load the bundle that `--model` names, or else all bundles that rules name. Raises StopWork and UsageFault."""
    if settings.model is None:
        return _routed_model_set(settings, database, routes_in_force(database), {})
    model = load_model(find_bundle(settings.model, settings.bundle_folders), settings, database)
    reference = model.bundle.reference
    return ModelSet(Rules([Rule(bundle=reference)]), {reference: model}, any_domain=settings.any_domain)


def reload_model_set(model_set: ModelSet, settings: Settings, database: Database) -> ModelSet:
    """Return the model set of the active rules: the same object unless the rules changed. Raises StopWork."""
    if settings.model is not None:
        return model_set
    routes = routes_in_force(database)
    if routes == model_set.routes:
        return model_set
    log.info("routing rules changed", extra={"rules": len(routes)})
    return _routed_model_set(settings, database, routes, model_set.models)


def _routed_model_set(
    settings: Settings, database: Database, routes: tuple[Route, ...], loaded: Mapping[str, LoadedModel]
) -> ModelSet:
    rules = Rules([_rule(route) for route in routes])
    models: dict[str, LoadedModel] = {}
    for route in routes:
        model = models.get(route.bundle) or loaded.get(route.bundle)
        if model is None or model.bundle.digest != route.digest:
            model = load_model(_find_routed_bundle(route, settings), settings, database)
        models[route.bundle] = model
    return ModelSet(rules, models, routes, any_domain=settings.any_domain)


def _rule(route: Route) -> Rule:
    try:
        return Rule.from_texts(bundle=route.bundle, role=route.role, conditions=route.conditions, route_id=route.id)
    except (UsageFault, ValueError) as fault:
        raise StopWork(
            f"routing rule {route.id} has a role or a condition that this release does not know. Install the release "
            f"that created the rule, or remove the rule with `nightread models deactivate --rule {route.id}`."
        ) from fault


def _find_routed_bundle(route: Route, settings: Settings) -> Bundle:
    try:
        bundle = find_bundle(route.bundle, settings.bundle_folders)
    except UsageFault as fault:
        raise StopWork(
            f"routing rule {route.id} names the bundle {route.bundle}, which this host does not have: {fault}. Copy "
            f"its folder to this host, or remove the rule with `nightread models deactivate --rule {route.id}`."
        ) from fault
    if bundle.digest != route.digest:
        raise StopWork(
            f"routing rule {route.id}: the folder {bundle.path} holds a {route.bundle} with another digest than the "
            "activated bundle. Copy the folder of the activated bundle to this host, or activate the bundle in this "
            "folder."
        )
    return bundle


def load_model(bundle: Bundle, settings: Settings, database: Database) -> LoadedModel:
    """Load the network of a bundle, and register the bundle if it is new. Raises StopWork."""
    on_gpu = bool(gpus(settings))
    largest = largest_micro_batch(bundle.spec, on_gpu=on_gpu)
    predictor = Predictor.load(bundle, settings.runtime, on_gpu=on_gpu, largest=largest)
    freeze_gc()
    bundle_id = ledger.register_bundle(
        database,
        name=bundle.name,
        version=bundle.version,
        digest=bundle.digest,
        labels=bundle.labels,
        normal_label=bundle.postprocessing.normal_label,
        codes=bundle.codes,
        of_series=bundle.series is not None,
        now=utc_now(),
    )
    _offer_drift_reference(bundle, bundle_id, database)
    head = load_head(bundle, settings.runtime) if bundle.has_head else None
    return LoadedModel(predictor=predictor, bundle_id=bundle_id, head=head)


def _offer_drift_reference(bundle: Bundle, bundle_id: int, database: Database) -> None:
    """Store the drift reference of the bundle, if it has one. A reference that cannot be read is logged and ignored."""
    try:
        content = read_reference(bundle.path, bundle.labels)
    except StopWork as fault:
        log.warning("the drift reference of a bundle is ignored, so nights are not compared with it: %s", fault)
        return
    if content is not None:
        offer_reference(database, bundle_id, content, now=utc_now())
