"""Serve the page of models: registered bundles, bundles of this host, routing rules and evaluations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.responses import Response

from api.context import ApiContext, Context
from api.pages.bundle_cards import readable_cards
from api.pages.page_route import page_router
from api.pages.page_user import HEADERS, PageProblem, Reader, page
from db import queries
from models.bundle import TRAINING_PAGE_FILE
from models.catalogue import Entry
from models.domain import RANGES
from models.evaluation.names import PAGE_FILE

router = page_router()
_EVALUATION_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; frame-ancestors 'none'"
)
"""The pages of evaluation and training contain their styles and pictures. They run no script and load no other file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelRow:
    """One bundle: registered in the database, on this host, or both."""

    name: str
    version: str
    digest: str
    labels: Sequence[str]
    normal_label: str | None
    registered: bool
    """Whether the database has the bundle: the bundle has analysed an image, or a routing rule names the bundle."""
    card: Mapping[str, Any] | None
    """The content of bundle.json; None if this host does not have the bundle."""
    has_evaluation: bool
    has_training: bool

    @property
    def made_for(self) -> list[tuple[str, str]]:
        """Return the domain of the bundle in words, as (field, values)."""
        domain = (self.card or {}).get("domain")
        found = domain if isinstance(domain, dict) else {}
        return [(name.replace("_", " "), _words(name, value)) for name, value in found.items()]

    @property
    def reference(self) -> str:
        """Return `NAME@VERSION`."""
        return f"{self.name}@{self.version}"


@router.get("/models")
def models(request: Request, context: Context, user: Reader) -> Response:
    """Show all bundles and the active rules."""
    return page(
        request,
        user,
        "models.html.j2",
        section="Models",
        rows=_rows(context),
        rules=queries.routes_in_force(context.database),
        model=context.settings.model,
    )


@router.get("/models/{digest}/evaluation")
def evaluation(digest: str, context: Context, user: Reader) -> Response:  # noqa: ARG001 - a reader is required
    """Show the evaluation that `nightread models evaluate` wrote into the folder of a bundle."""
    return _page_of_bundle(context, digest, PAGE_FILE, "evaluation")


@router.get("/models/{digest}/training")
def training(digest: str, context: Context, user: Reader) -> Response:  # noqa: ARG001 - a reader is required
    """Show recipe, figures and learning curves, which `nightread models train` wrote into the folder of a bundle."""
    return _page_of_bundle(context, digest, TRAINING_PAGE_FILE, "training")


def _page_of_bundle(context: ApiContext, digest: str, file: str, kind: str) -> Response:
    for entry, card in readable_cards(context.settings):
        path = entry.path / file
        if card.get("digest") == digest and path.is_file():
            headers = {**HEADERS, "Content-Security-Policy": _EVALUATION_POLICY}
            return Response(path.read_bytes(), media_type="text/html; charset=utf-8", headers=headers)
    raise PageProblem(HTTPStatus.NOT_FOUND, f"This host has no {kind} of this model.")


def _rows(context: ApiContext) -> list[ModelRow]:
    """Return the registered bundles, and those of this host that are not registered."""
    cards = {str(card.get("digest")): (entry, card) for entry, card in readable_cards(context.settings)}
    rows = [
        ModelRow(
            name=bundle.name,
            version=bundle.version,
            digest=bundle.digest,
            labels=bundle.labels,
            normal_label=bundle.normal_label,
            registered=True,
            card=cards[bundle.digest][1] if bundle.digest in cards else None,
            has_evaluation=bundle.digest in cards and _has(cards[bundle.digest][0], PAGE_FILE),
            has_training=bundle.digest in cards and _has(cards[bundle.digest][0], TRAINING_PAGE_FILE),
        )
        for bundle in queries.bundles(context.database)
    ]
    known = {row.digest for row in rows}
    rows.extend(
        ModelRow(
            name=entry.name,
            version=entry.version,
            digest=digest,
            labels=[str(label) for label in card.get("labels", ())],
            normal_label=card.get("normal_label"),
            registered=False,
            card=card,
            has_evaluation=_has(entry, PAGE_FILE),
            has_training=_has(entry, TRAINING_PAGE_FILE),
        )
        for digest, (entry, card) in cards.items()
        if digest not in known
    )
    return sorted(rows, key=lambda row: (row.name, row.version))


def _words(name: str, value: object) -> str:
    """Return the allowed values of a field of a domain, in words."""
    if name in RANGES and isinstance(value, list):
        return " to ".join(map(str, value))
    if isinstance(value, dict):
        return "as in the training images"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _has(entry: Entry, file: str) -> bool:
    return (entry.path / file).is_file()
