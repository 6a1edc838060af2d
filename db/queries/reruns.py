"""Find the images of a re-run, and count its results."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import and_, bindparam, func, select

from db.bulk import execute_in_chunks
from db.engine import Database
from db.ledger.outbox import RERUN
from db.tables import IN_BATCH, State, bundles, in_state, instances, sources, work


@dataclass(frozen=True, kw_only=True, slots=True)
class RerunCandidate:
    """An image that was selected for a re-run, with the values that decide whether it can be analysed."""

    image_id: int
    source: str
    kind: str
    root: str
    """The root as stored in the database; nightread.paths.root_path turns it into a path."""
    uri: str
    size: int
    mtime_ns: int
    state: str
    """The state of its first row of work."""
    reason: str | None
    duplicate_of: int | None
    purged: bool
    outdated: bool
    """Whether a newer version superseded it, or a key object note withdrew it."""
    patient_key: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class RerunCount:
    """The number of further rows of one bundle by state and reason."""

    model: str
    state: str
    reason: str | None
    images: int


def rerun_candidates(database: Database, image_ids: Sequence[int]) -> Iterator[RerunCandidate]:
    """Yield the images with these ids; ids without an image are left out."""
    with database.read() as connection:
        for row in execute_in_chunks(connection, _CANDIDATES, "images", image_ids):
            yield RerunCandidate(**row._asdict())


def unfinished_reruns(database: Database, bundle_ids: Sequence[int]) -> int:
    """Return the number of rows that wait for these bundles or are in batches for them.

    It reads only partial indexes, and no rows of waiting arrivals.
    """
    with database.read() as connection:
        return sum(
            connection.execute(select(func.count()).where(condition, work.c.bundle_id.in_(bundle_ids))).scalar_one()
            for condition in UNFINISHED_RERUNS
        )


# A sum, because SQLite would read the index of all further rows instead of the small indexes of unfinished rows.
_IS_FURTHER = work.c.ordinal + 0 > 0
UNFINISHED_RERUNS = (and_(in_state(State.RECEIVED), work.c.priority == RERUN, _IS_FURTHER), and_(IN_BATCH, _IS_FURTHER))
"""Two conditions: the first matches rows of re-runs that wait, the second rows of re-runs that are in batches. Each
condition uses one partial index."""


def rerun_counts(database: Database, image_ids: Sequence[int], bundle_ids: Sequence[int]) -> list[RerunCount]:
    """Count the further rows that these images have of these bundles, by bundle, state and reason."""
    counts: Counter[tuple[str, str, str | None]] = Counter()
    with database.read() as connection:
        for row in execute_in_chunks(connection, _COUNTS, "images", image_ids, wanted=list(bundle_ids)):
            counts[f"{row.name}@{row.version}", row.state, row.reason] += row.images
    return [
        RerunCount(model=model, state=state, reason=reason, images=images)
        for (model, state, reason), images in sorted(counts.items(), key=lambda item: [each or "" for each in item[0]])
    ]


_CANDIDATES = (
    select(
        instances.c.id.label("image_id"),
        sources.c.name.label("source"),
        sources.c.kind,
        sources.c.root,
        instances.c.uri,
        instances.c.size,
        instances.c.mtime_ns,
        work.c.state,
        work.c.reason,
        work.c.duplicate_of,
        instances.c.purged_at.is_not(None).label("purged"),
        (instances.c.superseded_by.is_not(None) | instances.c.withdrawn_by.is_not(None)).label("outdated"),
        instances.c.patient_key,
    )
    .join(work, (work.c.instance_id == instances.c.id) & (work.c.ordinal == 0))
    .join(sources, sources.c.id == instances.c.source_id)
    .where(instances.c.id.in_(bindparam("images", expanding=True)))
    .order_by(instances.c.id)
)
_COUNTS = (
    select(bundles.c.name, bundles.c.version, work.c.state, work.c.reason, func.count().label("images"))
    .select_from(work)
    .join(bundles, bundles.c.id == work.c.bundle_id)
    .where(
        work.c.ordinal > 0,
        work.c.instance_id.in_(bindparam("images", expanding=True)),
        work.c.bundle_id.in_(bindparam("wanted", expanding=True)),
    )
    .group_by(bundles.c.name, bundles.c.version, work.c.state, work.c.reason)
)
