"""Filter arrivals."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Column, ColumnElement, and_, func, or_, select

from db.queries.arrival_times import arrived_within, within
from db.queries.same_bytes import has_bytes
from db.queries.scope import ArrivalScope
from db.tables import FINAL, IN_BATCH, State, bundles, in_state, instances, sources, work

Sort = Literal["id", "newest", "score", "suspicion", "finished"]
BY_VALUE = ("score", "suspicion", "finished")  # orders by a value of the result; there is an index for each


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageFilter:
    """Conditions that must all hold. Several values of a condition are alternatives. By default all arrivals match."""

    image_ids: tuple[int, ...] = ()
    states: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    """Words of imaging.remarks."""
    min_score: float | None = None
    """`min_score` and `max_score` are limits of the score of the image's label, both included."""
    max_score: float | None = None
    sources: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    view_positions: tuple[str, ...] = ()
    manufacturers: tuple[str, ...] = ()
    station_names: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    """Match results of these models (`NAME` or `NAME@VERSION`), both answers and further results."""
    bundle_ids: tuple[int, ...] = ()
    """Match results of the bundles with these ids, both answers and further results."""
    shadow: bool = False
    """Match shadow results only; by default they never match."""
    patient_keys: tuple[str, ...] = ()
    accession_keys: tuple[str, ...] = ()
    study_instance_uid: str | None = None
    series_instance_uid: str | None = None
    sop_instance_uid: str | None = None
    contents: tuple[str, ...] = ()
    """Identities of the bytes as nightread.content_digest names them, or only their digits."""
    sha256: str | None = None
    """SHA-256 of the bytes, for files that an earlier release analysed."""
    since: datetime | None = None
    """Match arrivals of this time or later."""
    until: datetime | None = None
    """Arrived before this time."""
    parent_ids: tuple[int, ...] = ()
    """Match images that were unpacked from one of these archives."""
    scope: ArrivalScope | None = None
    """Match the arrivals in this scope."""
    withdrawn: bool | None = None
    """True matches images that a key object note rejects, False matches all others, None matches both."""
    replaced: bool | None = None
    """True matches images whose file was replaced by another file of the same name, False all others, None both."""
    conflict: bool | None = None
    """True matches images in conflict, False matches all others, None matches both."""
    current: bool = False
    """Leave out withdrawn images and old versions of images."""
    per_frame: bool = False
    sort: Sort = "id"
    """`id` puts the oldest arrival first, `newest` the newest one. `score`, `suspicion` and `finished` put the highest
    or latest value first, and leave out arrivals without a value; of equal values, the newest result comes first."""
    limit: int | None = None
    """Maximum number of rows: of arrivals, or with `per_frame` of frames."""
    id_range: tuple[int, int] | None = None
    """First and last id of the arrivals in the time range. db.queries.planning sets this and the next fields."""
    many_scores: bool = False
    """True if many results match the limits of the score; the search then uses another index."""
    many_labels: bool = False
    """True if many results have these labels; the search then uses the index of the value by which results are
    sorted."""
    many_modalities: bool = False
    """True if many arrivals have these modalities; the effect is the same as that of `many_labels`."""
    few_of_sources: bool = False
    """True if few arrivals are of these sources; the search then uses the index of sources."""
    has_statistics: bool = False
    """Whether the database can estimate how many arrivals lie in a range of ids: True for PostgreSQL, False for
    SQLite."""


def conditions(wanted: ImageFilter) -> Iterator[ColumnElement[bool]]:
    """Yield the filter as SQL conditions on `instances` and `work`.

    SQLite has no statistics and may use the index of any column that is compared with a constant. If the search must
    not use the index of a column, the column is therefore written as an expression, for which there is no index.
    """
    yield from _which_row(wanted)
    yield from _of_work(wanted, leading=not matches_few(wanted))
    yield from _of_arrival(wanted)
    yield from _arrived(wanted)
    if wanted.current:
        yield instances.c.superseded_by.is_(None)
        yield instances.c.withdrawn_by.is_(None)


def has_remark(word: str) -> ColumnElement[bool]:
    """Return the condition that a result has this remark."""
    return (" " + work.c.remarks + " ").contains(f" {word} ", autoescape=True)


def in_conflict() -> ColumnElement[bool]:
    """Return the condition that an image is current and in conflict with an arrival from another source."""
    # A comparison, because SQLite does not use the partial index for `IS NOT NULL`.
    return and_(instances.c.conflict_with > 0, instances.c.superseded_by.is_(None), instances.c.withdrawn_by.is_(None))


def image_id(wanted: ImageFilter) -> ColumnElement[int]:
    """Return the expression for the id of the image that is cheapest to sort by.

    The index that the search uses returns rows in the order of the id of its table. If only a few arrivals match, they
    are sorted instead: PostgreSQL would read arrivals by id until it has found as many as the limit.
    """
    states = set(wanted.states)
    few = matches_few(wanted) or sorts_waiting(wanted) or wanted.remarks
    if few or (states and states <= {State.QUEUED, State.RUNNING}):
        return instances.c.id + 0
    outcomes = bool(states and states <= set(FINAL)) or wanted.reasons or wanted.labels
    return work.c.instance_id if outcomes else instances.c.id


def sorts_waiting(wanted: ImageFilter) -> bool:
    """Return whether PostgreSQL should first find all waiting images, and then sort them by id."""
    return wanted.has_statistics and wanted.states == (State.RECEIVED,) and wanted.sort in ("id", "newest")


def matches_few(wanted: ImageFilter) -> bool:
    """Return whether the conditions on arrivals alone leave only a few arrivals."""
    named = (
        wanted.image_ids or wanted.parent_ids or wanted.contents or wanted.sha256 is not None or wanted.few_of_sources
    )
    return bool(named or _wants_marked(wanted) or any(getattr(wanted, name) for name in _NARROW))


def _wants_marked(wanted: ImageFilter) -> bool:
    return bool(wanted.withdrawn or wanted.replaced or wanted.conflict)


def _which_row(wanted: ImageFilter) -> Iterator[ColumnElement[bool]]:
    """Choose the rows of work: the first of each arrival, unless results of certain bundles are requested."""
    if wanted.shadow:
        yield work.c.shadow
        yield work.c.ordinal > 0
    elif wanted.models or wanted.bundle_ids:
        yield ~work.c.shadow
    else:
        yield work.c.ordinal == 0
    if wanted.bundle_ids:
        yield work.c.bundle_id.in_(wanted.bundle_ids)
    if wanted.models:
        yield work.c.bundle_id.in_(select(bundles.c.id).where(_named(wanted.models)))


def _named(models: Sequence[str]) -> ColumnElement[bool]:
    return or_(bundles.c.name.in_(models), (bundles.c.name + "@" + bundles.c.version).in_(models))


def _of_work(wanted: ImageFilter, *, leading: bool) -> Iterator[ColumnElement[bool]]:
    if wanted.remarks:
        yield from _with_remarks(wanted.remarks, leading=leading)
        leading = False
    if wanted.states:
        lead = leading and (wanted.has_statistics or wanted.sort not in BY_VALUE or State.DONE not in wanted.states)
        yield from _in_states(wanted.states) if lead else (_opaque(work.c.state).in_(wanted.states),)
    if wanted.reasons:
        yield (work.c.reason if leading else _opaque(work.c.reason)).in_(wanted.reasons)
        yield work.c.finished_at.is_not(None)
    if wanted.labels:
        leading = leading and (wanted.has_statistics or not wanted.many_labels)
        yield (work.c.label if leading else _opaque(work.c.label)).in_(wanted.labels)
    score = func.coalesce(work.c.score, work.c.score) if wanted.many_scores else work.c.score
    if wanted.min_score is not None:
        yield score >= wanted.min_score
    if wanted.max_score is not None:
        yield score <= wanted.max_score


def _with_remarks(words: Sequence[str], *, leading: bool) -> Iterator[ColumnElement[bool]]:
    """Yield the conditions that a result has one of these remarks; `leading` lets the search use the partial index."""
    if leading:
        yield work.c.remarks > ""
    yield or_(*map(has_remark, words))


def _in_states(states: Sequence[str]) -> Iterator[ColumnElement[bool]]:
    """Yield the condition that work is in one of these states, also in the form of their partial index."""
    yield in_state(*(State(state) for state in states))
    if set(states) <= set(FINAL):
        yield work.c.finished_at.is_not(None)
    elif set(states) <= {State.QUEUED, State.RUNNING}:
        yield IN_BATCH


def _of_arrival(wanted: ImageFilter) -> Iterator[ColumnElement[bool]]:
    if wanted.image_ids:
        yield instances.c.id.in_(wanted.image_ids)
    if wanted.scope:
        yield wanted.scope.of_instances()
    if wanted.parent_ids:
        yield instances.c.parent_id.in_(wanted.parent_ids)
    if wanted.sources:
        # Most databases have one source with nearly all arrivals: its index would require sorting all of them.
        source = instances.c.source_id if wanted.few_of_sources else instances.c.source_id + 0
        yield source.in_(select(sources.c.id).where(sources.c.name.in_(wanted.sources)))
    for name, column in _CODES.items():
        if values := getattr(wanted, name):
            yield (_opaque(column) if wanted.many_modalities else column).in_(values)
    if wanted.sha256 is not None:
        yield from has_bytes((f"sha256:{wanted.sha256.lower().removeprefix('sha256:')}",))
    if wanted.contents:
        yield from has_bytes(wanted.contents)
    yield from _marked(wanted)
    yield from _narrow(wanted)


def _marked(wanted: ImageFilter) -> Iterator[ColumnElement[bool]]:
    for is_marked, column in ((wanted.withdrawn, instances.c.withdrawn_by), (wanted.replaced, instances.c.replaced_by)):
        if is_marked is not None:
            # A comparison, because SQLite does not use the partial index for `IS NOT NULL`.
            yield column > 0 if is_marked else column.is_(None)
    if wanted.conflict is not None:
        yield (
            in_conflict()
            if wanted.conflict
            else or_(
                instances.c.conflict_with.is_(None),
                instances.c.superseded_by.is_not(None),
                instances.c.withdrawn_by.is_not(None),
            )
        )


def _narrow(wanted: ImageFilter) -> Iterator[ColumnElement[bool]]:
    for name, column in _NARROW.items():
        value = getattr(wanted, name)
        if isinstance(value, tuple):
            if value:
                yield column == value[0] if len(value) == 1 else column.in_(value)
        elif value is not None:
            yield column == value


def _arrived(wanted: ImageFilter) -> Iterator[ColumnElement[bool]]:
    """Translate the time range into a range of ids, so that an index returns the results in order.

    Ids do not follow times if a clock was set back, so the time of each arrival is checked too.
    """
    if wanted.since is None and wanted.until is None:
        return
    if matches_few(wanted):
        yield from within(instances.c.arrived_at, wanted.since, wanted.until)
        return
    if wanted.id_range is not None:
        first, last = wanted.id_range
        number: ColumnElement[int] = image_id(wanted)
        if wanted.sort in BY_VALUE:
            # In a wide range the index of the sorted value leads the search; it has the ids of images too.
            opaque = last - first > _WIDE and not wanted.has_statistics
            number = work.c.instance_id + 0 if opaque else work.c.instance_id
        yield number.between(first, last)
        if wanted.has_statistics and wanted.sort in ("id", "newest"):
            # PostgreSQL does not conclude from the range of one table that the other one has it too.
            yield (instances.c.id if number is work.c.instance_id else work.c.instance_id).between(first, last)
    else:
        lead, then = image_id(wanted), tuple(within(_then.c.arrived_at, wanted.since, wanted.until))
        # `+ 0` prevents both databases from reading ids in order until one matches.
        yield lead >= select(func.min(_then.c.id + 0)).where(*then).scalar_subquery()
        yield lead <= select(func.max(_then.c.id + 0)).where(*then).scalar_subquery()
    yield from arrived_within(wanted.since, wanted.until, has_statistics=wanted.has_statistics)


def _opaque(column: Column[str] | Column[str | None]) -> ColumnElement[Any]:
    return column.concat("")


_then = instances.alias("then")
_WIDE = 5_000
"""A time range with more ids than this counts as wide. Up to this many results are sorted within 15 ms."""

_NARROW: dict[str, Column[Any]] = {
    "patient_keys": instances.c.patient_key,
    "accession_keys": instances.c.accession_key,
    "study_instance_uid": instances.c.study_instance_uid,
    "series_instance_uid": instances.c.series_instance_uid,
    "sop_instance_uid": instances.c.sop_instance_uid,
}
_CODES: dict[str, Column[Any]] = {
    "modalities": instances.c.modality,
    "view_positions": instances.c.view_position,
    "manufacturers": instances.c.manufacturer,
    "station_names": instances.c.station_name,
}
