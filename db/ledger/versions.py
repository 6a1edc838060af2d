"""Find the current version of an image, and the images whose versions from several sources are in conflict."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, and_, bindparam, func, or_, select, update

from db.bulk import execute_in_chunks, is_any_of, write_rows
from db.ledger.origins import origin_columns
from db.ledger.trust import Domain, held_by
from db.ledger.values import Conflict, Outcome
from db.tables import State, instances, work
from nightread.sources import OverwritePolicy


class Version(NamedTuple):
    """One of several images with the same SOP and Series Instance UID but different bytes."""

    image_id: int
    own: Domain
    """The trust domain from which this version arrived."""
    first: dict[Domain, int]
    """Each domain that sent these bytes, with the id of the first arrival from it."""
    superseded_by: int | None
    withdrawn_by: int | None
    conflict_with: int | None


def supersede(
    connection: Connection, outcomes: Sequence[Outcome], copied: Sequence[int], policy: OverwritePolicy
) -> list[Conflict]:
    """Mark the newest version of each trust domain as current, and return the new conflicts between domains.

    `copied` are images whose bytes arrived again from another source, sender or archive. Within a domain, every older
    image points to a newer image, which need not be the newest: so the cost stays low even for 10,000 versions.
    """
    uids = {o.facts.sop_instance_uid for o in outcomes if o.state is State.DONE and o.facts.series_instance_uid}
    uids.discard(None)
    several = set(connection.execute(_SEVERAL, {"uids": list(uids)}).scalars()) if uids else set()
    if copied:
        several |= {row.sop_instance_uid for row in execute_in_chunks(connection, _COPIED, "images", copied)}
    return _settle(connection, several, copied, policy)


def settle_again(connection: Connection, uids: Iterable[str], policy: OverwritePolicy) -> list[Conflict]:
    """Mark the versions of images again after a version was withdrawn or restored; return the new conflicts.

    A conflict with a withdrawn version ends, but the other versions may still be in conflict with each other.
    """
    several = {row.sop_instance_uid for row in execute_in_chunks(connection, _SEVERAL, "uids", sorted(set(uids)))}
    return _settle(connection, several, (), policy)


def _settle(
    connection: Connection, uids: set[str | None], copied: Sequence[int], policy: OverwritePolicy
) -> list[Conflict]:
    """Find and store which versions of these images are superseded or in conflict; return the new conflicts."""
    if not uids:
        return []
    changed = [
        (version, settled)
        for group in _groups(connection, uids, copied, policy)
        for version, settled in zip(group, settle(group), strict=True)
        if settled != version
    ]
    rows = [(settled.image_id, settled.superseded_by, settled.conflict_with) for _, settled in changed]
    write_rows(connection, _SETTLE, ("image", "newer", "other"), rows)
    pairs = {
        tuple(sorted((settled.image_id, settled.conflict_with)))
        for version, settled in changed
        if settled.conflict_with not in (None, version.conflict_with)
    }
    return [Conflict(image_id=older, other_id=newer, kind="version") for older, newer in sorted(pairs)]


def settle(group: Sequence[Version]) -> list[Version]:
    """Return the versions of one image with their marks.

    A version is current if it is the newest version of any domain that sent it. Several current versions that are not
    withdrawn are in conflict: `conflict_with` of each names another of them.
    """
    newest: dict[Domain, tuple[int, int]] = {}
    for version in group:
        for domain, first in version.first.items():
            newest[domain] = max(newest.get(domain, (0, 0)), (first, version.image_id))
    settled = [_with_superseder(version, newest) for version in group]
    current = [v.image_id for v in settled if v.superseded_by is None and v.withdrawn_by is None]
    ids, several = {version.image_id for version in group}, set(current) if len(current) > 1 else set()
    latest = sorted(several)[-2:]
    return [_with_conflict(version, several, latest, ids) for version in settled]


def _with_superseder(version: Version, newest: dict[Domain, tuple[int, int]]) -> Version:
    if any(newest[domain][1] == version.image_id for domain in version.first):
        return version._replace(superseded_by=None)
    return version._replace(superseded_by=version.superseded_by or newest[version.own][0])


def _with_conflict(version: Version, several: set[int], latest: Sequence[int], ids: set[int]) -> Version:
    """Set `conflict_with` if there are several current versions, and clear it otherwise.

    If `conflict_with` names a note instead of a version, it stays as it is.
    """
    known = version.conflict_with
    if known is not None and known not in ids:
        return version
    if version.image_id in several:
        is_last = version.image_id == latest[-1]
        return version if known in several else version._replace(conflict_with=latest[0 if is_last else -1])
    return version._replace(conflict_with=None) if known is not None else version


def _groups(
    connection: Connection, uids: set[str | None], copied: Sequence[int], policy: OverwritePolicy
) -> Iterator[list[Version]]:
    """Yield the current versions of each image, and the `copied` versions, which may become current again."""
    rows = {row.id: row for row in execute_in_chunks(connection, _CURRENT, "uids", uids)}
    rows |= {row.id: row for row in execute_in_chunks(connection, _AGAIN, "images", copied)}
    held = held_by(connection, policy, rows.values())
    groups: defaultdict[tuple[str, str], list[Version]] = defaultdict(list)
    for image_id, row in sorted(rows.items()):
        groups[row.sop_instance_uid, row.series_instance_uid].append(
            Version(
                image_id=image_id,
                own=held.own(row),
                first=held.domains[image_id],
                superseded_by=row.superseded_by,
                withdrawn_by=row.withdrawn_by,
                conflict_with=row.conflict_with,
            )
        )
    yield from groups.values()


_UIDS = is_any_of(instances.c.sop_instance_uid, "uids")
_IMAGES = instances.c.id.in_(bindparam("images", expanding=True))
_IS_CURRENT = and_(instances.c.superseded_by.is_(None), instances.c.series_instance_uid.is_not(None))
_IS_DONE = and_(work.c.ordinal == 0, work.c.state == State.DONE.value)

_SEVERAL = (
    select(instances.c.sop_instance_uid)
    .where(_UIDS, _IS_CURRENT)
    .group_by(instances.c.sop_instance_uid, instances.c.series_instance_uid)
    .having(func.count() > 1)
)

_other, _its_work = instances.alias("other"), work.alias("its_work")
_HAS_COMPANY = (
    select(_other.c.id)
    .join(_its_work, _its_work.c.instance_id == _other.c.id)
    .where(
        _other.c.sop_instance_uid == instances.c.sop_instance_uid,
        _other.c.series_instance_uid == instances.c.series_instance_uid,
        _other.c.superseded_by.is_(None),
        _other.c.id != instances.c.id,
        _its_work.c.ordinal == 0,
        _its_work.c.state == State.DONE.value,
    )
    .exists()
)
_COPIED = select(instances.c.sop_instance_uid).where(
    _IMAGES,
    instances.c.sop_instance_uid.is_not(None),
    instances.c.series_instance_uid.is_not(None),
    or_(instances.c.superseded_by.is_not(None), _HAS_COMPANY),
)

_VERSIONS = (
    select(
        instances.c.id,
        instances.c.sop_instance_uid,
        instances.c.series_instance_uid,
        instances.c.superseded_by,
        instances.c.withdrawn_by,
        instances.c.conflict_with,
        *origin_columns(),
    )
    .join(work, work.c.instance_id == instances.c.id)
    .where(instances.c.series_instance_uid.is_not(None), _IS_DONE)
)
_CURRENT = _VERSIONS.where(_UIDS, instances.c.superseded_by.is_(None))
_AGAIN = _VERSIONS.where(_IMAGES)

_SETTLE = (
    update(instances)
    .where(instances.c.id == bindparam("image"))
    .values(superseded_by=bindparam("newer"), conflict_with=bindparam("other"))
)
