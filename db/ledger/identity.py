"""Find duplicates by hash."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, select, update

from db.bulk import is_any_of, write_rows
from db.engine import Database
from db.ledger.upsert import insert_if_absent
from db.ledger.values import Outcome
from db.tables import State, contents, instances, work
from imaging.facts import FACT_NAMES, Facts

_OWNING = (State.DONE, State.EXPANDED)


def known_contents(database: Database, hashes: Iterable[str]) -> dict[str, int]:
    """Return the instance ids of `done` and `expanded` images with these hashes, by hash."""
    with database.read() as connection:
        rows = connection.execute(_OWNERS, {"hashes": list(hashes)}).all()
        return {row.content: row.instance_id for row in rows}


def settle_duplicates(connection: Connection, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Turn an outcome whose bytes have an earlier outcome into a duplicate; the first outcome owns the content.

    Only `done` and `expanded` outcomes own contents, so that a copy of failed or rejected bytes is analysed.
    """
    claims = {o.content: o for o in reversed(outcomes) if o.state in _OWNING and o.content}
    owners = _owners(connection, claims)
    settled = []
    for outcome in outcomes:
        owner = owners.get(outcome.content or "") if outcome.state in _OWNING else None
        if owner is None or owner.work_id == outcome.work_id:
            settled.append(outcome)
        else:
            settled.append(_as_duplicate(outcome, owner.instance_id))
    return _with_facts_of_originals(connection, settled)


def mark_unowned(connection: Connection, outcomes: Sequence[Outcome]) -> None:
    """Mark the images that the table `contents` does not name, so that a search by hash finds them too.

    The mark stays if the image gets a result later, because it costs a search only one more row.
    """
    unowned = [(outcome.instance_id,) for outcome in outcomes if outcome.state not in _OWNING]
    write_rows(connection, _MARK_UNOWNED, ("instance",), unowned)


class _Owner(NamedTuple):
    work_id: int
    instance_id: int


def _owners(connection: Connection, claims: dict[str, Outcome]) -> dict[str, "_Owner"]:
    """Return the owner of each content by its hash: the earlier owner, or else the outcome that claims it now."""
    rows = [(content, claims[content].work_id) for content in sorted(claims)]
    if insert_if_absent(connection, contents, ("content", "work_id"), rows) == len(rows):
        return {content: _Owner(outcome.work_id, outcome.instance_id) for content, outcome in claims.items()}
    known = connection.execute(_OWNERS, {"hashes": list(claims)})
    return {row.content: _Owner(row.work_id, row.instance_id) for row in known}


def _as_duplicate(outcome: Outcome, original: int) -> Outcome:
    return outcome._replace(
        state=State.DUPLICATE,
        duplicate_of=original,
        bundle_id=None,
        label=None,
        score=None,
        scores=None,
        frames=(),
        route_id=None,
        matched=None,
        remarks=None,
        intensities=None,
        detail=None,
        further=(),
        annotations=None,
    )


def _with_facts_of_originals(connection: Connection, outcomes: list[Outcome]) -> list[Outcome]:
    """Copy the header facts of originals to their duplicates, which have the same bytes and were not parsed.

    If the original was purged meanwhile, the duplicate becomes `received`, so that it is analysed itself.
    """
    originals = {o.duplicate_of for o in outcomes if o.duplicate_of is not None}
    if not originals:
        return outcomes
    facts = {
        row.id: None if row.purged_at else Facts(**{name: getattr(row, name) for name in FACT_NAMES})
        for row in connection.execute(_FACTS, {"originals": list(originals)})
    }
    own = {o.instance_id: o.facts for o in outcomes}
    return [
        o if o.duplicate_of is None else _as_copy(o, own.get(o.duplicate_of) or facts[o.duplicate_of]) for o in outcomes
    ]


def _as_copy(outcome: Outcome, facts: Facts | None) -> Outcome:
    if facts is None:
        return Outcome(work_id=outcome.work_id, instance_id=outcome.instance_id, state=State.RECEIVED, uncounted=True)
    return outcome._replace(facts=facts)


_OWNERS = (
    select(contents.c.content, contents.c.work_id, work.c.instance_id)
    .join(work, work.c.id == contents.c.work_id)
    .where(is_any_of(contents.c.content, "hashes"))
)

_FACTS = select(instances.c.id, instances.c.purged_at, *(instances.c[name] for name in FACT_NAMES)).where(
    instances.c.id.in_(bindparam("originals", expanding=True))
)

_MARK_UNOWNED = update(instances).where(instances.c.id == bindparam("instance")).values(unowned=True)
