"""List series with their results, evidence and coverage."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Select, bindparam, func, select, tuple_

from db.bulk import execute_in_chunks
from db.engine import Database
from db.queries.scope import ArrivalScope, unless_all
from db.queries.series_order import WAITING_SLICES
from db.queries.snapshot import snapshot, stream
from db.series_tables import is_unformed, series, series_results
from db.store_tables import expected
from db.tables import bundles, instances


class SpeakingSlice(NamedTuple):
    """A slice that is evidence for the label of its stack."""

    place: int
    """Number of the slice in the stack, from 1."""
    image_id: int
    frame: int
    score: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """One stack of a series with the result of one bundle; a series without any result has one entry too."""

    series_instance_uid: str
    study_instance_uid: str
    series_state: str
    """The state of the series: collecting, due, forming, formed or failed."""
    stack: int | None
    stack_name: str | None
    state: str | None
    """The state of the result: done, rejected or failed; None if the series has no result yet."""
    reason: str | None
    detail: str | None
    model: str | None
    model_version: str | None
    label: str | None
    score: float | None
    suspicion: float | None
    scores: dict[str, float] | None
    slices: int | None
    """Slices with a score."""
    of_slices: int | None
    partial: bool | None
    remarks: list[str]
    evidence: list[SpeakingSlice]
    """The slices that are evidence for the label, the strongest first."""
    shadow: bool
    revision: int | None
    changed_at: datetime
    """When a slice last got an outcome, or when an attempt to form the series last failed."""
    formed_at: datetime | None

    @property
    def coverage(self) -> str:
        """Return the coverage as a text, such as `412 of 412`."""
        return "" if self.of_slices is None else f"{self.slices:,} of {self.of_slices:,}"


def series_list(
    database: Database,
    *,
    scope: ArrivalScope | None = None,
    study_instance_uid: str | None = None,
    series_instance_uid: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int | None = None,
) -> Iterator[Series]:
    """Stream series whose latest change (`Series.changed_at`) is in this time range, the latest first.

    If `scope` is given, only series that have at least one image in it are streamed.
    """
    statement = _LIST.limit(limit)
    if study_instance_uid is not None:
        statement = statement.where(series.c.study_instance_uid == study_instance_uid)
    if series_instance_uid is not None:
        statement = statement.where(series.c.series_instance_uid == series_instance_uid)
    if since is not None:
        statement = statement.where(series.c.changed_at >= since)
    if until is not None:
        statement = statement.where(series.c.changed_at < until)
    with snapshot(database) as connection:
        for row in stream(connection, _within(statement, connection, scope)):
            yield _series(row)


def count_failed_series(database: Database, scope: ArrivalScope) -> int:
    """Count the series that could not be formed and that have at least one image in `scope`."""
    with snapshot(database) as connection:
        return int(connection.execute(_within(_FAILED, connection, scope)).scalar_one())


def places_of(database: Database, series_instance_uid: str) -> dict[tuple[str, str, str, int], list[list[Any]]]:
    """Return the slices of a series in order, as [image id, frame, score], by study, model, version and stack."""
    with database.read() as connection:
        rows = connection.execute(_PLACES, {"uid": series_instance_uid})
        return {(row.study_instance_uid, row.name, row.version, row.stack): row.places for row in rows}


def unformed_series(database: Database) -> int:
    """Return the number of series that wait for slices or are being formed."""
    with database.read() as connection:
        return connection.execute(_UNFORMED).scalar_one()


@dataclass(frozen=True, kw_only=True, slots=True)
class SeriesCounts:
    """Numbers of series by what happens to them."""

    unformed: int
    """Series that wait for slices or are being formed."""
    failed: int
    waiting_slices: int
    """Slices that wait until their series is put in order."""


def series_counts(database: Database) -> SeriesCounts:
    """Count the series that are not formed, for `nightread status`."""
    with database.read() as connection:
        return SeriesCounts(
            unformed=connection.execute(_UNFORMED).scalar_one(),
            failed=connection.execute(_FAILED).scalar_one(),
            waiting_slices=connection.execute(WAITING_SLICES).scalar_one(),
        )


class FailedSeries(NamedTuple):
    """A series that could not be formed, or of which a result failed."""

    id: int
    reason: str


def failed_series(database: Database, *, since: datetime | None, until: datetime | None) -> list[FailedSeries]:
    """List failed series whose latest change is in this time range."""
    statement = _LIST_FAILED
    if since is not None:
        statement = statement.where(series.c.changed_at >= since)
    if until is not None:
        statement = statement.where(series.c.changed_at < until)
    with database.read() as connection:
        return [FailedSeries(*row) for row in connection.execute(statement)]


def has_unformed_series(database: Database, study_instance_uid: str) -> bool:
    """Return whether series of this study are not formed yet, so that more results will follow."""
    with database.read() as connection:
        return connection.execute(_UNFORMED_OF_STUDY, {"study": study_instance_uid}).first() is not None


def studies_with_number(database: Database, studies: Collection[str]) -> frozenset[str]:
    """Return which of these studies have an expected number of images."""
    with database.read() as connection:
        return frozenset(row[0] for row in execute_in_chunks(connection, _NUMBERED, "studies", studies))


def _within(statement: Select[Any], connection: Connection, scope: ArrivalScope | None) -> Select[Any]:
    """Restrict a statement about series to the series that have at least one image in the scope."""
    chosen = None if scope is None else unless_all(connection, scope)
    if chosen is None:
        return statement
    # Not EXISTS, which would read all images of the study for each series outside of the scope.
    keys = (instances.c.study_instance_uid, instances.c.series_instance_uid)
    known = (key.is_not(None) for key in keys)
    of_scope = select(*keys).where(*known, chosen.of_instances())
    return statement.where(tuple_(series.c.study_instance_uid, series.c.series_instance_uid).in_(of_scope))


def _series(row: Row[Any]) -> Series:
    labels = row.labels or []
    return Series(
        series_instance_uid=row.series_instance_uid,
        study_instance_uid=row.study_instance_uid,
        series_state=row.series_state,
        stack=row.stack,
        stack_name=row.stack_name,
        state=row.state,
        reason=row.reason or row.series_reason,
        detail=row.detail or row.series_detail,
        model=row.name,
        model_version=row.version,
        label=row.label,
        score=row.score,
        suspicion=row.suspicion,
        scores=None if row.scores is None else dict(zip(labels, row.scores, strict=False)),
        slices=row.slices,
        of_slices=row.of_slices,
        partial=row.partial,
        remarks=(row.remarks or "").split(),
        evidence=[SpeakingSlice(place, *row.places[place - 1]) for place in row.evidence or ()],
        shadow=bool(row.shadow),
        revision=row.revision,
        changed_at=row.changed_at,
        formed_at=row.formed_at,
    )


_LIST: Select[Any] = (
    select(
        series.c.series_instance_uid,
        series.c.study_instance_uid,
        series.c.state.label("series_state"),
        series.c.reason.label("series_reason"),
        series.c.detail.label("series_detail"),
        series.c.changed_at,
        series_results.c.stack,
        series_results.c.stack_name,
        series_results.c.state,
        series_results.c.reason,
        series_results.c.detail,
        series_results.c.label,
        series_results.c.score,
        series_results.c.suspicion,
        series_results.c.scores,
        series_results.c.slices,
        series_results.c.of_slices,
        series_results.c.partial,
        series_results.c.remarks,
        series_results.c.places,
        series_results.c.evidence,
        series_results.c.shadow,
        series_results.c.revision,
        series_results.c.formed_at,
        bundles.c.name,
        bundles.c.version,
        bundles.c.labels,
    )
    .select_from(series)
    .outerjoin(series_results, series_results.c.series_id == series.c.id)
    .outerjoin(bundles, bundles.c.id == series_results.c.bundle_id)
    .order_by(series.c.changed_at.desc(), series.c.id.desc(), series_results.c.bundle_id, series_results.c.stack)
)
_PLACES = (
    select(
        series.c.study_instance_uid, bundles.c.name, bundles.c.version, series_results.c.stack, series_results.c.places
    )
    .select_from(series_results)
    .join(series, series.c.id == series_results.c.series_id)
    .join(bundles, bundles.c.id == series_results.c.bundle_id)
    .where(series.c.series_instance_uid == bindparam("uid"))
)
_UNFORMED = select(func.count()).select_from(series).where(is_unformed())
_LIST_FAILED = select(series.c.id, series.c.reason).where(series.c.reason.is_not(None)).order_by(series.c.id)
_FAILED = select(func.count()).select_from(series).where(series.c.reason.is_not(None))
_UNFORMED_OF_STUDY = (
    select(series.c.id).where(series.c.study_instance_uid == bindparam("study"), is_unformed()).limit(1)
)
_NUMBERED = (
    select(expected.c.study_instance_uid)
    .where(expected.c.study_instance_uid.in_(bindparam("studies", expanding=True)))
    .distinct()
)
