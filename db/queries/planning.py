"""Look up, before a search, what decides which index should lead it. SQLite has no statistics to decide it."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, func, select

from db.queries.arrival_times import within
from db.queries.bundles import BundleLabels
from db.queries.filters import ImageFilter, matches_few
from db.tables import instances, work

_NO_BUNDLE = 0
_FEW_RESULTS = 3_000
"""So many results are sorted within 15 ms; an index that is in order finds more frequent ones sooner."""


def planned(connection: Connection, wanted: ImageFilter, bundles: dict[int, BundleLabels]) -> ImageFilter:
    """Return a filter that matches the same images, with ids of bundles and arrivals instead of names and times."""
    if wanted.models:
        ids = (number for number, bundle in bundles.items() if _is_named(bundle, wanted.models))
        wanted = replace(wanted, models=(), bundle_ids=tuple(ids) or (_NO_BUNDLE,))
    if matches_few(wanted):
        return wanted
    wanted = replace(wanted, has_statistics=connection.dialect.name != "sqlite")
    if (wanted.since is not None or wanted.until is not None) and wanted.sort != "finished":
        wanted = replace(wanted, id_range=id_range(connection, wanted.since, wanted.until))
    if wanted.sort in ("id", "newest") and (wanted.min_score is not None or wanted.max_score is not None):
        wanted = replace(wanted, many_scores=_has_many_scores(connection, wanted))
    if wanted.sort in ("score", "suspicion") and wanted.labels:
        wanted = replace(wanted, many_labels=_has_many_labels(connection, wanted))
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


def _has_many_scores(connection: Connection, wanted: ImageFilter) -> bool:
    if wanted.labels:  # whose index leads then
        return True
    conditions = []
    if wanted.min_score is not None:
        conditions.append(work.c.score >= wanted.min_score)
    if wanted.max_score is not None:
        conditions.append(work.c.score <= wanted.max_score)
    first = select(work.c.score).where(*conditions).limit(_FEW_RESULTS + 1).subquery()
    return bool(connection.execute(select(func.count()).select_from(first)).scalar_one() > _FEW_RESULTS)


def _has_many_labels(connection: Connection, wanted: ImageFilter) -> bool:
    first = select(work.c.label).where(work.c.label.in_(wanted.labels)).limit(_FEW_RESULTS + 1).subquery()
    return bool(connection.execute(select(func.count()).select_from(first)).scalar_one() > _FEW_RESULTS)
