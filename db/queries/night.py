"""Count what arrived in a period, with outcomes, reasons, labels and times, for the night page."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Row,
    Select,
    String,
    cast,
    func,
    literal,
    literal_column,
    select,
    union_all,
)

from db.engine import Database
from db.queries.arrival_times import arrived_within
from db.queries.bundles import BundleLabels, bundles_by_id
from db.queries.filters import ImageFilter
from db.queries.images import images
from db.queries.night_arrivals import INTERVAL, NightArrivals, night_arrivals
from db.queries.snapshot import snapshot
from db.queries.tally import Tally
from db.tables import State, instances, work
from db.types import Id

_NEAR = timedelta(hours=1)
_MOST_OTHERS = 100
_TEN_MINUTES = 15
"""The number of characters that name ten minutes in a time that SQLite stores as text, as in `2026-11-05 22:1`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelCount:
    """How many images of a period got this label from this model as their result."""

    model: str
    """`NAME@VERSION`."""
    label: str | None
    images: int


@dataclass(frozen=True, kw_only=True, slots=True)
class PeriodCounts:
    """The arrivals of a period by the state of their first row of work, which is their answer."""

    tally: Tally
    reasons: Mapping[tuple[str, str], int]
    """(state, reason) -> images that were rejected or failed."""
    labels: Sequence[LabelCount]
    arrived_at: Mapping[datetime, int]
    """Start of an interval -> arrivals."""
    finished_at: Mapping[tuple[datetime, str], int]
    """(start of an interval, final state) -> images."""
    last_outcome: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelSample:
    """How often each label occurs in a sample of a period's images.

    The images are evenly spread over the period. If there are few images, all are in the sample.
    """

    results: int
    labels: Mapping[tuple[str, str | None], int]
    """(`NAME@VERSION`, label) -> images."""


def period_counts(database: Database, *, since: datetime, until: datetime) -> PeriodCounts:
    """Count the arrivals from `since` (included) to `until` (excluded) in one snapshot.

    This reads each arrival of the period once: about 0.1 s for 100,000.
    """
    with snapshot(database) as connection:
        bundles = bundles_by_id(connection)
        arrivals = night_arrivals(connection, since, until)
        rows = _outcomes(connection, since, until, arrivals)
        last_outcome = _latest(connection, since, until, rows)
    states: Counter[str] = Counter()
    reasons: Counter[tuple[str, str]] = Counter()
    labels: Counter[tuple[str, str | None]] = Counter()
    finished: Counter[tuple[datetime, str]] = Counter()
    for row in rows:
        states[row.state] += row.images
        if row.state in (State.REJECTED, State.FAILED):
            reasons[row.state, row.reason or ""] += row.images
        if row.state == State.DONE:
            labels[_model(bundles, row.bundle_id), row.label] += row.images
        if row.finished is not None:
            finished[_begin(row.finished), row.state] += row.images
    return PeriodCounts(
        tally=_tally(arrivals.images, states),
        reasons=dict(reasons.most_common()),
        labels=[LabelCount(model=model, label=label, images=images) for (model, label), images in labels.most_common()],
        arrived_at=arrivals.at,
        finished_at=dict(sorted(finished.items())),
        last_outcome=last_outcome,
    )


def most_suspicious(database: Database, *, since: datetime, until: datetime, limit: int) -> list[dict[str, Any]]:
    """Return the current images of a period with the highest suspicion, as the dicts of `images`.

    PostgreSQL first finds the ids of the images, because it sorts narrow rows of a large night in half of the time.
    """
    wanted = ImageFilter(since=since, until=until, current=True, sort="suspicion", limit=limit)
    if not database.is_sqlite:
        statement = (
            select(instances.c.id)
            .join(work, work.c.instance_id == instances.c.id)
            .where(*_arrived(since, until), work.c.ordinal == 0, work.c.suspicion.is_not(None))
            .where(instances.c.superseded_by.is_(None), instances.c.withdrawn_by.is_(None))
            .order_by(work.c.suspicion.desc(), work.c.id.desc())
            .limit(limit)
        )
        with database.read() as connection:
            ids = tuple(connection.execute(statement).scalars())
        if not ids:
            return []
        wanted = ImageFilter(image_ids=ids, sort="suspicion", limit=limit)
    return list(images(database, wanted))


def has_arrivals(database: Database, *, since: datetime, until: datetime) -> bool:
    """Return whether anything arrived in this period."""
    statement = select(instances.c.id).where(*_arrived(since, until)).limit(1)
    with database.read() as connection:
        return connection.execute(statement).first() is not None


def has_further_results(database: Database) -> bool:
    """Return whether any image is, or will be, analysed by a second bundle too."""
    # The constant and the column of the partial index let SQLite read that index, and not all work.
    statement = select(work.c.bundle_id).where(work.c.ordinal > literal_column("0")).limit(1)
    with database.read() as connection:
        return connection.execute(statement).first() is not None


def sample_labels(
    database: Database, periods: Sequence[tuple[datetime, datetime]], *, most: int = 1000
) -> list[LabelSample]:
    """Return the labels of up to `most` evenly spread arrivals of each period that has results."""
    with snapshot(database) as connection:
        bundles = bundles_by_id(connection)
        samples = [_sample(connection, bundles, since, until, most) for since, until in periods]
    return [sample for sample in samples if sample.results]


def _sample(
    connection: Connection, bundles: dict[int, BundleLabels], since: datetime, until: datetime, most: int
) -> LabelSample:
    """Count the labels of arrivals whose ids are evenly spread over the period.

    Ids follow times unless a clock was set back, so the times are compared too.
    """
    ends = [
        connection.execute(select(instances.c.id).where(*_arrived(since, until)).order_by(order).limit(1)).scalar()
        for order in (instances.c.arrived_at.asc(), instances.c.arrived_at.desc())
    ]
    if ends[0] is None or ends[1] is None:
        return LabelSample(results=0, labels={})
    first, last = min(ends[0], ends[1]), max(ends[0], ends[1])
    chosen = select(literal(first, Id).label("id")).cte("chosen", recursive=True)
    step = -(-(last + 1 - first) // most)
    chosen = chosen.union_all(select(chosen.c.id + step).where(chosen.c.id + step <= last))
    statement = (
        select(work.c.bundle_id, work.c.label, func.count().label("images"))
        .select_from(chosen)
        .join(instances, instances.c.id == chosen.c.id)
        .join(work, work.c.instance_id == instances.c.id)
        .where(work.c.ordinal == 0, work.c.state.concat("") == State.DONE.value)
        .where(*arrived_within(since, until, has_statistics=connection.dialect.name != "sqlite"))
        .group_by(work.c.bundle_id, work.c.label)
    )
    rows = connection.execute(statement).all()
    labels = {(_model(bundles, row.bundle_id), row.label): row.images for row in rows}
    return LabelSample(results=sum(labels.values()), labels=labels)


def _outcomes(connection: Connection, since: datetime, until: datetime, arrivals: NightArrivals) -> Sequence[Row[Any]]:
    """Count the first rows of work of a period by state, reason, model, label and interval of their outcome.

    The arrivals of a period have ids in one range. Only a few other arrivals are in this range: they came shortly
    before or after the period, while two producers registered at the same time. These are left out by their ids. So
    only `work` is read, which takes a third of the time. If the sum is not the number of arrivals, because a clock was
    set back, the arrival time of each row is compared.
    """
    first, last = arrivals.first_id, arrivals.last_id
    others = _others_in_range(connection, since, until, first, last)
    if len(others) <= _MOST_OTHERS:
        in_range = [work.c.instance_id.between(first, last)]
        if others:
            in_range.append(work.c.instance_id.not_in(others))
        rows = connection.execute(_grouped(connection).select_from(work).where(*in_range)).all()
        if sum(row.images for row in rows) == arrivals.images:
            return rows
    joined = instances.join(work, work.c.instance_id == instances.c.id)
    return connection.execute(_grouped(connection).select_from(joined).where(*_arrived(since, until))).all()


def _others_in_range(connection: Connection, since: datetime, until: datetime, first: int, last: int) -> Sequence[int]:
    """Return up to 101 ids from `first` to `last` whose images arrived at most an hour before or after the period."""
    near = [
        select(instances.c.id).where(*_arrived(begin, end), (instances.c.id + 0).between(first, last))
        for begin, end in ((since - _NEAR, since), (until, until + _NEAR))
    ]
    return connection.execute(union_all(*near).limit(_MOST_OTHERS + 1)).scalars().all()


def _grouped(connection: Connection) -> Select[Any]:
    interval = _interval(connection, work.c.finished_at).label("finished")
    kinds = (work.c.state, work.c.reason, work.c.bundle_id, work.c.label, interval)
    return (
        select(*kinds, func.count().label("images"))
        .where(work.c.ordinal == 0)
        # The interval first: SQLite then sorts in three quarters of the time.
        .group_by(interval, work.c.label, work.c.state, work.c.reason, work.c.bundle_id)
    )


def _latest(connection: Connection, since: datetime, until: datetime, rows: Sequence[Row[Any]]) -> datetime | None:
    """Return the time of the latest outcome of a period; only outcomes in the last interval of the rows are read.

    SQLite counts the outcomes of a period in five sixths of the time if it need not find the latest of each group.
    """
    begin = max((_begin(row.finished) for row in rows if row.finished is not None), default=None)
    if begin is None:
        return None
    statement = (
        select(func.max(work.c.finished_at))
        .join(instances, instances.c.id == work.c.instance_id)
        .where(work.c.ordinal == 0, work.c.finished_at >= begin, work.c.finished_at < begin + INTERVAL)
        .where(*arrived_within(since, until, has_statistics=connection.dialect.name != "sqlite"))
    )
    latest: datetime | None = connection.execute(statement).scalar_one()
    return latest


def _arrived(since: datetime, until: datetime) -> Iterator[ColumnElement[bool]]:
    yield instances.c.arrived_at >= since
    yield instances.c.arrived_at < until


def _interval(connection: Connection, moment: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the interval of a time: on SQLite the start of its text, on PostgreSQL the number since 1970."""
    if connection.dialect.name == "sqlite":
        return func.substr(cast(moment, String), 1, _TEN_MINUTES, type_=String)
    return cast(func.floor(func.date_part("epoch", moment) / int(INTERVAL.total_seconds())), Integer)


def _begin(interval: str | int) -> datetime:
    if isinstance(interval, int):
        return datetime.fromtimestamp(interval * INTERVAL.total_seconds(), UTC)
    return datetime.fromisoformat(f"{interval}0").replace(tzinfo=UTC)


def _model(bundles: dict[int, BundleLabels], bundle_id: int | None) -> str:
    bundle = bundles.get(bundle_id) if bundle_id is not None else None
    return f"{bundle.name}@{bundle.version}" if bundle else ""


def _tally(arrived: int, states: Counter[str]) -> Tally:
    waiting = states.pop(State.RECEIVED, 0)
    return Tally(arrived=arrived, waiting=waiting, **{State(state).value: images for state, images in states.items()})
