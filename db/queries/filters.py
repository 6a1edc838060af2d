"""Which arrivals are asked for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Column, ColumnElement, func, or_, select

from db.tables import FINAL, IN_BATCH, State, bundles, in_state, instances, sources, work

Sort = Literal["id", "score", "suspicion", "finished"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageFilter:
    """Conditions that all hold at once; several values of one are alternatives. Empty: every current arrival."""

    image_ids: tuple[int, ...] = ()
    states: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    min_score: float | None = None
    """Of the label that was found, both ends included."""
    max_score: float | None = None
    sources: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    """`NAME` or `NAME@VERSION`: their results, be they the image's answer or beside it."""
    shadow: bool = False
    """Results on trial, and nothing else; without this none of them."""
    patient_key: str | None = None
    accession_key: str | None = None
    study_instance_uid: str | None = None
    series_instance_uid: str | None = None
    sop_instance_uid: str | None = None
    sha256: str | None = None
    since: datetime | None = None
    """Arrived at this time or later."""
    until: datetime | None = None
    """Arrived before this time."""
    parent_ids: tuple[int, ...] = ()
    """Came out of one of these archives."""
    withdrawn: bool | None = None
    """Whether a key object note rejects the image; None: either."""
    current: bool = False
    """Without images of which a newer version arrived, or that were withdrawn."""
    per_frame: bool = False
    sort: Sort = "id"
    """`score`, `suspicion` and `finished`: the highest or latest first, and only arrivals that have one."""
    limit: int | None = None
    """Rows: arrivals, or frames of them."""


def conditions(wanted: ImageFilter) -> Iterator[ColumnElement[bool]]:
    """The filter as SQL over instances and their rows of work.

    SQLite has no statistics here and would take the index of whatever column is compared with a constant. So columns
    that must not lead the search are written as expressions, which no index answers.
    """
    yield from _which_row(wanted)
    yield from _of_work(wanted, leading=not _names_few(wanted))
    yield from _of_arrival(wanted)
    yield from _arrived(wanted)
    if wanted.current:
        yield instances.c.superseded_by.is_(None)
        yield instances.c.withdrawn_by.is_(None)


def image_id(wanted: ImageFilter) -> ColumnElement[int]:
    """The arrival's id in the spelling whose order costs least.

    The id of the table that leads the search comes in order from its index. Where few arrivals remain they are sorted:
    PostgreSQL would rather walk all arrivals by id until it has met as many as the limit allows.
    """
    states = set(wanted.states)
    few = wanted.parent_ids or wanted.withdrawn or any(getattr(wanted, name) for name in _NARROW)
    if few or (states and states <= {State.QUEUED, State.RUNNING}):
        return instances.c.id + 0
    outcomes = bool(states and states <= set(FINAL)) or wanted.reasons or wanted.labels
    return work.c.instance_id if outcomes and not _names_few(wanted) else instances.c.id


def _names_few(wanted: ImageFilter) -> bool:
    """Whether arrivals are named so that few remain, whatever became of them."""
    named = wanted.image_ids or wanted.parent_ids or wanted.withdrawn
    return bool(named or any(getattr(wanted, name) for name in _NARROW))


def _which_row(wanted: ImageFilter) -> Iterator[ColumnElement[bool]]:
    """An arrival is one row, its first, unless results of networks are asked for."""
    if wanted.shadow:
        yield work.c.shadow
        yield work.c.ordinal > 0
    elif wanted.models:
        yield ~work.c.shadow
    else:
        yield work.c.ordinal == 0
    if wanted.models:
        yield work.c.bundle_id.in_(select(bundles.c.id).where(_named(wanted.models)))


def _named(models: Sequence[str]) -> ColumnElement[bool]:
    return or_(bundles.c.name.in_(models), (bundles.c.name + "@" + bundles.c.version).in_(models))


def _of_work(wanted: ImageFilter, *, leading: bool) -> Iterator[ColumnElement[bool]]:
    if wanted.states:
        yield from _in_states(wanted.states) if leading else (_opaque(work.c.state).in_(wanted.states),)
    if wanted.reasons:
        yield (work.c.reason if leading else _opaque(work.c.reason)).in_(wanted.reasons)
        yield work.c.finished_at.is_not(None)
    if wanted.labels:
        yield (work.c.label if leading else _opaque(work.c.label)).in_(wanted.labels)
    if wanted.min_score is not None:
        yield work.c.score >= wanted.min_score
    if wanted.max_score is not None:
        yield work.c.score <= wanted.max_score


def _in_states(states: Sequence[str]) -> Iterator[ColumnElement[bool]]:
    """With the words that open the partial index of these states; `in_state` alone opens that of `received`."""
    yield in_state(*(State(state) for state in states))
    if set(states) <= set(FINAL):
        yield work.c.finished_at.is_not(None)
    elif set(states) <= {State.QUEUED, State.RUNNING}:
        yield IN_BATCH


def _of_arrival(wanted: ImageFilter) -> Iterator[ColumnElement[bool]]:
    if wanted.image_ids:
        yield instances.c.id.in_(wanted.image_ids)
    if wanted.parent_ids:
        yield instances.c.parent_id.in_(wanted.parent_ids)
    if wanted.withdrawn is not None:
        # A comparison opens the partial index, which SQLite does not search for `IS NOT NULL`.
        yield instances.c.withdrawn_by > 0 if wanted.withdrawn else instances.c.withdrawn_by.is_(None)
    if wanted.sources:
        # Most records have one source that holds nearly everything: its index would cost a sort of it all.
        yield (instances.c.source_id + 0).in_(select(sources.c.id).where(sources.c.name.in_(wanted.sources)))
    if wanted.modalities:
        yield instances.c.modality.in_(wanted.modalities)
    for name in _NARROW:
        if getattr(wanted, name) is not None:
            yield instances.c[name] == getattr(wanted, name)


def _arrived(wanted: ImageFilter) -> Iterator[ColumnElement[bool]]:
    """A time as the ids of those that arrived then, in whose order they are shown: nothing has to be sorted.

    Ids follow the clock but for a clock that was set back, so that each time is looked at all the same.
    """
    if wanted.since is None and wanted.until is None:
        return
    if _names_few(wanted):
        yield from _within(instances.c.arrived_at, wanted)
        return
    lead, then = image_id(wanted), tuple(_within(_then.c.arrived_at, wanted))
    # The sums keep planners from walking all ids until one fits.
    yield lead >= select(func.min(_then.c.id + 0)).where(*then).scalar_subquery()
    yield lead <= select(func.max(_then.c.id + 0)).where(*then).scalar_subquery()
    yield from _within(func.coalesce(instances.c.arrived_at, instances.c.arrived_at), wanted)


def _within(time: ColumnElement[datetime], wanted: ImageFilter) -> Iterator[ColumnElement[bool]]:
    if wanted.since is not None:
        yield time >= wanted.since
    if wanted.until is not None:
        yield time < wanted.until


def _opaque(column: Column[str] | Column[str | None]) -> ColumnElement[Any]:
    return column.concat("")


_then = instances.alias("then")

_NARROW = (
    "patient_key",
    "accession_key",
    "study_instance_uid",
    "series_instance_uid",
    "sop_instance_uid",
    "sha256",
)
