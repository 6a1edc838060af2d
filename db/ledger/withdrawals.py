"""Withdraw images that key object notes of their trust domains reject; images may arrive before or after the note."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, and_, bindparam, select, update

from db.bulk import execute_in_chunks, execute_many
from db.ledger.origins import origin_columns
from db.ledger.trust import Domain, Held, held_by
from db.ledger.upsert import insert_if_absent
from db.ledger.values import Conflict, Withdrawal
from db.ledger.versions import settle_again
from db.store_tables import withdrawals
from db.tables import State, instances, work
from nightread.sources import OverwritePolicy

_CHUNK = 500


def withdraw(connection: Connection, note_id: int, withdrawal: Withdrawal, policy: OverwritePolicy) -> list[Conflict]:
    """Mark the images that a key object note rejects, and store their UIDs for images that arrive later.

    An image is withdrawn if every trust domain that sent its bytes has a note that names it. Otherwise, if the image is
    current and has a result, it is in conflict with the note. Returns the new conflicts.
    """
    study, code = withdrawal.study_instance_uid, withdrawal.code
    named = list(dict.fromkeys(withdrawal.sop_instance_uids))
    rows = [(study, uid, note_id, code) for uid in named]
    insert_if_absent(connection, withdrawals, ("study_instance_uid", "sop_instance_uid", "note_id", "code"), rows)
    note = _Note(note_id, code)
    its_origin = connection.execute(_ORIGINS, {"notes": [note_id]}).one()
    conflicts: list[Conflict] = []
    for start in range(0, len(named), _CHUNK):
        images = connection.execute(_NAMED, {"uids": named[start : start + _CHUNK], "study": study}).all()
        held = held_by(connection, policy, [*images, its_origin])
        several = [row for row in images if len(held.domains[row.id]) > 1]
        earlier = _notes(connection, several, policy)
        its_domain = {held.own(its_origin): note}
        by_image = {row.id: {**earlier.get(row.id, {}), **its_domain} for row in images}
        affected = [row for row in images if not _is_kept(row, held, by_image)]
        conflicts += _settle(connection, affected, held, by_image, policy)
    return conflicts


def apply_pending_withdrawals(
    connection: Connection, image_ids: Sequence[int], policy: OverwritePolicy
) -> list[Conflict]:
    """Withdraw these images if key object notes that arrived earlier name them; return the new conflicts.

    The images are new, or their bytes have arrived again from another source, sender or archive. If a domain has
    several notes, the last note counts. Most databases have no note at all; checking that first saves 1 us per image.
    """
    if connection.execute(_ANY).first() is None:
        return []
    images = list(execute_in_chunks(connection, _PENDING, "images", image_ids))
    if not images:
        return []
    held = held_by(connection, policy, images)
    return _settle(connection, images, held, _notes(connection, images, policy), policy)


class _Note(NamedTuple):
    note_id: int
    code: str


_Notes = Mapping[int, Mapping[Domain, _Note]]
"""For each image, the last note that names it, by the trust domain of the note."""


def _is_kept(row: Row[Any], held: Held, by_image: _Notes) -> bool:
    """Return whether the image stays withdrawn by an earlier note, because the new note alone may not withdraw it."""
    return row.withdrawn_by is not None and not held.domains[row.id].keys() <= by_image[row.id].keys()


def _settle(
    connection: Connection, images: Iterable[Row[Any]], held: Held, by_image: _Notes, policy: OverwritePolicy
) -> list[Conflict]:
    marks: list[tuple[int, int | None, str | None]] = []
    conflicts: list[Conflict] = []
    changed: set[str] = set()
    for row in images:
        notes = by_image[row.id]
        if held.domains[row.id].keys() <= notes.keys():
            marks.append((row.id, *notes[held.own(row)]))
            if row.conflict_with is not None:  # a conflict of another version may end
                changed.add(row.sop_instance_uid)
            continue
        if row.withdrawn_by is not None:  # its bytes arrived again from a domain without a note
            marks.append((row.id, None, None))
            changed.add(row.sop_instance_uid)
        latest = max(note.note_id for note in notes.values())
        if row.state == State.DONE and row.superseded_by is None and row.conflict_with != latest:
            conflicts.append(Conflict(image_id=row.id, other_id=latest, kind="withdrawal"))
    execute_many(connection, _MARK, ("instance", "note", "its_code"), marks)
    execute_many(connection, _CONTEST, ("instance", "note"), [(c.image_id, c.other_id) for c in conflicts])
    return conflicts + settle_again(connection, changed, policy)  # keeps conflicts with notes


def _notes(connection: Connection, images: Sequence[Row[Any]], policy: OverwritePolicy) -> _Notes:
    """Find the notes that name each of these images."""
    if not images:
        return {}
    names = {(row.study_instance_uid, row.sop_instance_uid) for row in images}
    by_study: dict[str, list[str]] = {}
    for study, uid in sorted(names):
        by_study.setdefault(study, []).append(uid)
    rows = [
        row
        for study, uids in by_study.items()
        for row in execute_in_chunks(connection, _NOTES, "uids", uids, study=study)
    ]
    rows.sort(key=attrgetter("note_id"))
    origins = list(execute_in_chunks(connection, _ORIGINS, "notes", sorted({row.note_id for row in rows})))
    held = held_by(connection, policy, origins)
    domains = {origin.id: held.own(origin) for origin in origins}
    by_name: dict[tuple[str, str], dict[Domain, _Note]] = {}
    for row in rows:
        key = row.study_instance_uid, row.sop_instance_uid
        by_name.setdefault(key, {})[domains[row.note_id]] = _Note(row.note_id, row.code)
    return dict(_by_image(images, by_name))


def _by_image(
    images: Iterable[Row[Any]], by_name: Mapping[tuple[str, str], dict[Domain, _Note]]
) -> Iterator[tuple[int, dict[Domain, _Note]]]:
    for row in images:
        yield row.id, by_name.get((row.study_instance_uid, row.sop_instance_uid), {})


_IMAGES = select(
    instances.c.id,
    instances.c.study_instance_uid,
    instances.c.sop_instance_uid,
    instances.c.superseded_by,
    instances.c.withdrawn_by,
    instances.c.conflict_with,
    work.c.state,
    *origin_columns(),
).join(work, and_(work.c.instance_id == instances.c.id, work.c.ordinal == 0))

_NAMED = _IMAGES.where(
    instances.c.sop_instance_uid.in_(bindparam("uids", expanding=True)),
    # As an expression: otherwise SQLite searches the whole study for each UID.
    instances.c.study_instance_uid.concat("") == bindparam("study"),
)

_PENDING = _IMAGES.where(
    instances.c.id.in_(bindparam("images", expanding=True)),
    select(withdrawals.c.note_id)
    .where(
        withdrawals.c.study_instance_uid == instances.c.study_instance_uid,
        withdrawals.c.sop_instance_uid == instances.c.sop_instance_uid,
    )
    .exists(),
)

_MARK = (
    update(instances)
    .where(instances.c.id == bindparam("instance"))
    .values(withdrawn_by=bindparam("note"), withdrawn_code=bindparam("its_code"))
)
_CONTEST = update(instances).where(instances.c.id == bindparam("instance")).values(conflict_with=bindparam("note"))

_ANY = select(withdrawals.c.note_id).limit(1)

_ORIGINS = select(instances.c.id, *origin_columns()).where(instances.c.id.in_(bindparam("notes", expanding=True)))

_NOTES = select(withdrawals).where(
    withdrawals.c.study_instance_uid == bindparam("study"),
    # The UIDs limit the result, because one note may name all 20,000 images of a study.
    withdrawals.c.sop_instance_uid.in_(bindparam("uids", expanding=True)),
)
