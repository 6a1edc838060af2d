"""Compute the suspicion of results from stored scores, in SQL."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, case, func, literal, null, select

from db.engine import Database
from db.tables import bundles as bundles_table
from db.tables import work


@dataclass(frozen=True, kw_only=True, slots=True)
class BundleLabels:
    """The labels of one bundle, in the order of its scores."""

    name: str
    version: str
    digest: str
    labels: tuple[str, ...]
    normal_label: str | None


def bundles_by_id(connection: Connection) -> dict[int, BundleLabels]:
    """Return all registered bundles by id; there are only a few."""
    return {
        row.id: BundleLabels(
            name=row.name,
            version=row.version,
            digest=row.digest,
            labels=tuple(row.labels),
            normal_label=row.normal_label,
        )
        for row in connection.execute(select(bundles_table).order_by(bundles_table.c.id))
    }


def bundles(database: Database) -> list[BundleLabels]:
    """List the registered bundles, oldest first."""
    with database.read() as connection:
        return list(bundles_by_id(connection).values())


def suspicion(bundles: dict[int, BundleLabels], dialect: str) -> ColumnElement[Any]:
    """Build `models.postprocessing.Postprocessing.suspicion` in SQL; NULL if the bundle has no normal label."""
    greatest = func.max if dialect == "sqlite" else func.greatest
    known = {
        number: _suspicion_of(bundle, greatest) for number, bundle in bundles.items() if bundle.normal_label is not None
    }
    return case(known, value=work.c.bundle_id, else_=null()) if known else null()


def _suspicion_of(bundle: BundleLabels, greatest: Callable[..., ColumnElement[Any]]) -> ColumnElement[Any]:
    scores = [work.c.scores[position].as_float() for position in range(len(bundle.labels))]
    if bundle.normal_label in bundle.labels:
        normality: ColumnElement[Any] = scores[bundle.labels.index(bundle.normal_label)]
        return literal(1.0) - normality
    highest: ColumnElement[Any] = greatest(*scores) if len(scores) > 1 else scores[0]
    return highest
