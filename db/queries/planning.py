"""Count rows before a search, to decide which index it uses, because SQLite has no statistics."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select

from db.queries.arrival_times import within
from db.queries.bundles import BundleLabels
from db.queries.filters import BY_VALUE, ImageFilter, matches_few
from db.tables import instances, sources, work

_NO_BUNDLE = 0
_FEW_RESULTS = 3_000
"""Up to this many results are sorted within 15 ms; an index in the wanted order is faster for more."""


def planned(connection: Connection, wanted: ImageFilter, bundles: dict[int, BundleLabels]) -> ImageFilter:
    """Return a filter that matches the same images, with ids of bundles and arrivals instead of names and times."""
    if wanted.models:
        ids = (number for number, bundle in bundles.items() if _is_named(bundle, wanted.models))
        wanted = replace(wanted, models=(), bundle_ids=tuple(ids) or (_NO_BUNDLE,))
    if matches_few(wanted):
        return wanted
    if wanted.sources and _has_few_of_sources(connection, wanted.sources):
        return replace(wanted, few_of_sources=True)
    wanted = replace(wanted, has_statistics=connection.dialect.name != "sqlite")
    if wanted.since is not None or wanted.until is not None:
        wanted = replace(wanted, id_range=id_range(connection, wanted.since, wanted.until))
    if wanted.sort in ("id", "newest") and (wanted.min_score is not None or wanted.max_score is not None):
        wanted = replace(wanted, many_scores=_has_many_scores(connection, wanted))
    if wanted.sort in BY_VALUE:
        many = {
            "many_labels": (work.c.label, wanted.labels),
            "many_modalities": (instances.c.modality, wanted.modalities),
        }
        found: dict[str, Any] = {name: _has_many(connection, *each) for name, each in many.items() if each[1]}
        wanted = replace(wanted, **found)
    return wanted


def _is_named(bundle: BundleLabels, names: tuple[str, ...]) -> bool:
    return bundle.name in names or f"{bundle.name}@{bundle.version}" in names


def id_range(connection: Connection, since: datetime | None, until: datetime | None) -> tuple[int, int]:
    """Return the first and the last id of the arrivals in a time range; an empty range if there is none."""
    # `+ 0` prevents both databases from reading ids in order until one matches.
    number = instances.c.id + 0
    statement = select(func.min(number), func.max(number)).where(*within(instances.c.arrived_at, since, until))
    first, last = connection.execute(statement).one()
    return (1, 0) if first is None else (first, last)


def _has_few_of_sources(connection: Connection, names: tuple[str, ...]) -> bool:
    ids = list(connection.execute(select(sources.c.id).where(sources.c.name.in_(names))).scalars())
    first = select(instances.c.source_id).where(instances.c.source_id.in_(ids)).limit(_FEW_RESULTS + 1).subquery()
    return bool(connection.execute(select(func.count()).select_from(first)).scalar_one() <= _FEW_RESULTS)


def _has_many_scores(connection: Connection, wanted: ImageFilter) -> bool:
    if wanted.labels:  # the index of labels leads the search
        return True
    conditions = []
    if wanted.min_score is not None:
        conditions.append(work.c.score >= wanted.min_score)
    if wanted.max_score is not None:
        conditions.append(work.c.score <= wanted.max_score)
    first = select(work.c.score).where(*conditions).limit(_FEW_RESULTS + 1).subquery()
    return bool(connection.execute(select(func.count()).select_from(first)).scalar_one() > _FEW_RESULTS)


def _has_many(connection: Connection, column: ColumnElement[str | None], names: tuple[str, ...]) -> bool:
    first = select(column).where(column.in_(names)).limit(_FEW_RESULTS + 1).subquery()
    return bool(connection.execute(select(func.count()).select_from(first)).scalar_one() > _FEW_RESULTS)
