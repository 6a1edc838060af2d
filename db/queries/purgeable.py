"""Find out which images a purge concerns, and what it would remove."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, and_, bindparam, func, or_, select

from db.bulk import execute_in_chunks
from db.engine import Database
from db.queries.snapshot import snapshot
from db.store_tables import deliveries
from db.tables import UNFINISHED, State, in_state, instances, predictions, work


class Outdated(NamedTuple):
    """An image whose outcome is older than a limit. With these fields a further search continues after the image."""

    finished_at: datetime
    image_id: int


@dataclass(frozen=True, kw_only=True, slots=True)
class PurgePreview:
    """What the purge of some images would remove."""

    states: Counter[str] = field(default_factory=Counter)
    """Number of images by state."""
    predictions: int = 0
    """Number of results of frames."""
    studies: int = 0
    """Number of studies of which no image would be left."""
    reports: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Rows of deliveries of these studies, by (destination, state)."""
    mixed_archives: tuple[int, ...] = ()
    """Archives whose rows and files stay, because images that are not purged also came out of them."""

    @property
    def images(self) -> int:
        """Return the number of images."""
        return sum(self.states.values())


def with_copies(database: Database, image_ids: Iterable[int]) -> list[int]:
    """Return these images, all arrivals with the same bytes, and the members of the archives among them.

    An archive is added if all images that came out of it are returned. Images that were purged before are left out.
    Duplicates come before their originals, and archives last. Finding equal bytes reads the whole table of arrivals,
    0.5 s for a million.
    """
    with snapshot(database) as connection:
        found: set[int] = set()
        hashes: set[str] = set()
        new = _not_purged(connection, image_ids)
        while new:
            found |= new
            copies = _same_bytes(connection, new, hashes)
            new = (copies | _members(connection, new) | _emptied_archives(connection, found)) - found
        states = {row.id: row.state for row in execute_in_chunks(connection, _STATES, "images", sorted(found))}
    return sorted(found, key=lambda each: (states[each] == State.EXPANDED, states[each] != State.DUPLICATE, each))


def purge_preview(database: Database, image_ids: Sequence[int]) -> PurgePreview:
    """Count what a purge of these images would remove; the ids are those that `with_copies` returned."""
    chosen = set(image_ids)
    with snapshot(database) as connection:
        states = Counter(row.state for row in execute_in_chunks(connection, _STATES, "images", image_ids))
        frames = sum(row.frames for row in execute_in_chunks(connection, _PREDICTIONS, "images", image_ids))
        studies = _emptied_studies(connection, image_ids, chosen)
        reports: Counter[tuple[str, str]] = Counter()
        for row in execute_in_chunks(connection, _REPORTS, "studies", studies):
            reports[row.destination, row.state] += row.reports
        parents = {row.parent_id for row in execute_in_chunks(connection, _PARENTS, "images", image_ids)}
    return PurgePreview(
        states=states,
        predictions=frames,
        studies=len(studies),
        reports=reports,
        mixed_archives=tuple(sorted(parents - chosen)),
    )


def outdated(database: Database, *, before: datetime, after: Outdated | None = None, limit: int) -> list[Outdated]:
    """List unpurged images whose outcome is older than `before`, the oldest first.

    If `after` is given, the list starts with the image that follows it.
    """
    statement = _OUTDATED.where(work.c.finished_at < before).limit(limit)
    if after is not None:
        later = or_(work.c.finished_at > after.finished_at, work.c.instance_id > after.image_id)
        statement = statement.where(work.c.finished_at >= after.finished_at, later)
    with database.read() as connection:
        return [Outdated(*row) for row in connection.execute(statement)]


def originals_in_use(database: Database, *, since: datetime) -> frozenset[int]:
    """Return the originals of the duplicates whose outcome was recorded at `since` or later.

    These duplicates still show the results of their originals.
    """
    statement = (
        select(work.c.duplicate_of)
        .where(work.c.finished_at >= since, in_state(State.DUPLICATE), work.c.duplicate_of.is_not(None))
        .distinct()
    )
    with database.read() as connection:
        return frozenset(connection.execute(statement).scalars())


def purged_among(database: Database, image_ids: Iterable[int]) -> set[int]:
    """Return which of these images were purged."""
    with database.read() as connection:
        return {row.id for row in execute_in_chunks(connection, _PURGED, "images", sorted(set(image_ids)))}


def _not_purged(connection: Connection, image_ids: Iterable[int]) -> set[int]:
    return {row.id for row in execute_in_chunks(connection, _PRESENT, "images", sorted(set(image_ids)))}


def _same_bytes(connection: Connection, image_ids: set[int], known: set[str]) -> set[int]:
    """Return all images with the same bytes as these images.

    Their hashes are added to `known`, so that a later call does not search for them again.
    """
    hashes = {row.content for row in execute_in_chunks(connection, _HASHES, "images", sorted(image_ids))} - known
    known |= hashes
    return {row.id for row in execute_in_chunks(connection, _WITH_HASHES, "hashes", sorted(hashes))}


def _members(connection: Connection, image_ids: set[int]) -> set[int]:
    return {row.id for row in execute_in_chunks(connection, _MEMBERS, "archives", sorted(image_ids))}


def _emptied_archives(connection: Connection, chosen: set[int]) -> set[int]:
    """Return the archives from which only these images came.

    Other files of an archive do not count if they got their outcome without a study, for example texts.
    """
    parents = {row.parent_id for row in execute_in_chunks(connection, _PARENTS, "images", sorted(chosen))} - chosen
    others = {
        row.parent_id
        for row in execute_in_chunks(connection, _OTHER_IMAGES, "archives", sorted(parents))
        if row.id not in chosen
    }
    return parents - others


def _emptied_studies(connection: Connection, image_ids: Sequence[int], chosen: set[int]) -> list[str]:
    named = {row.study_instance_uid for row in execute_in_chunks(connection, _STUDIES, "images", image_ids)}
    others = {
        row.study_instance_uid
        for row in execute_in_chunks(connection, _IN_STUDIES, "studies", sorted(named))
        if row.id not in chosen
    }
    return sorted(named - others)


def _of_images(*columns: Any) -> Select[Any]:
    return select(*columns).where(instances.c.id.in_(bindparam("images", expanding=True)))


_ITS_WORK = and_(work.c.instance_id == instances.c.id, work.c.ordinal == 0)
_PRESENT = _of_images(instances.c.id).where(instances.c.purged_at.is_(None))
_PURGED = _of_images(instances.c.id).where(instances.c.purged_at.is_not(None))
_STATES = _of_images(instances.c.id, work.c.state).join(work, _ITS_WORK)
_HASHES = _of_images(instances.c.content).where(instances.c.content.is_not(None))
_PARENTS = _of_images(instances.c.parent_id).where(instances.c.parent_id.is_not(None)).distinct()
_STUDIES = _of_images(instances.c.study_instance_uid).where(instances.c.study_instance_uid.is_not(None)).distinct()
_WITH_HASHES = select(instances.c.id).where(instances.c.content.in_(bindparam("hashes", expanding=True)))
_MEMBERS = select(instances.c.id).where(
    instances.c.parent_id.in_(bindparam("archives", expanding=True)), instances.c.purged_at.is_(None)
)
_OTHER_IMAGES = (
    select(instances.c.id, instances.c.parent_id)
    .join(work, _ITS_WORK)
    .where(
        instances.c.parent_id.in_(bindparam("archives", expanding=True)),
        instances.c.purged_at.is_(None),
        or_(instances.c.study_instance_uid.is_not(None), in_state(*UNFINISHED, State.EXPANDED)),
    )
)
_IN_STUDIES = select(instances.c.id, instances.c.study_instance_uid).where(
    instances.c.study_instance_uid.in_(bindparam("studies", expanding=True))
)
_PREDICTIONS = (
    select(func.count().label("frames"))
    .select_from(predictions)
    .join(work, work.c.id == predictions.c.work_id)
    .where(work.c.instance_id.in_(bindparam("images", expanding=True)))
)
_REPORTS = (
    select(deliveries.c.destination, deliveries.c.state, func.count().label("reports"))
    .where(deliveries.c.study_instance_uid.in_(bindparam("studies", expanding=True)))
    .group_by(deliveries.c.destination, deliveries.c.state)
)
_OUTDATED: Select[Any] = (
    select(work.c.finished_at, work.c.instance_id)
    .join(instances, instances.c.id == work.c.instance_id)
    .where(work.c.finished_at.is_not(None), work.c.ordinal == 0, instances.c.purged_at.is_(None))
    .order_by(work.c.finished_at, work.c.instance_id)
)
