"""Register arrivals: each gets its first row of work."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Any

from sqlalchemy import Connection, and_, bindparam, insert, literal, select, update

from db.bulk import is_any_of
from db.engine import Database
from db.ledger.replaced import mark_replaced, mark_returned
from db.ledger.upsert import insert_if_absent
from db.ledger.values import Arrival, CallingEntity, Registered
from db.tables import UNFINISHED, State, in_state, instances, work

_CHUNK = 1000


def register(
    database: Database, *, source_id: int, arrivals: Sequence[Arrival], priority: int, now: datetime
) -> Registered:
    """Insert each new arrival with its first row of work, in one transaction.

    An arrival is ignored if one with the same source, place, size and time is registered already. If a file changed
    while its image was unfinished, its row becomes `received` again and describes the newer file, and its attempts
    become 0. If a file changed after its outcome, it is a new arrival, and the earlier arrival is marked as replaced.
    """
    return database.write_bulk(
        lambda connection: register_within(
            connection, source_id=source_id, arrivals=arrivals, priority=priority, now=now
        )
    )


def register_within(
    connection: Connection,
    *,
    source_id: int,
    arrivals: Sequence[Arrival],
    priority: int,
    now: datetime,
    senders: Mapping[CallingEntity | None, int] = {},
) -> Registered:
    """Register arrivals as part of the caller's transaction. `senders` maps each sender to its id."""
    by_key = {uri_key(arrival.uri): arrival for arrival in arrivals}
    present = _compare(connection, source_id, by_key)
    unfinished = present.unfinished
    changed = _change(connection, {key: by_key[key] for key in unfinished}, unfinished)
    new = {key: arrival for key, arrival in by_key.items() if key not in present.known | changed}
    if new:
        _insert(connection, source_id, new, priority, now, senders=senders)
    mark_replaced(connection, [image_id for key in new for image_id in present.replaced(key)])
    mark_returned(connection, present.returned)
    return Registered(new=len(new), changed=len(changed))


def uri_key(uri: str) -> str:
    """Return the key by which a place is indexed: 32 hex digits, BLAKE2b-128 of the URI."""
    return blake2b(uri.encode(), digest_size=16).hexdigest()


@dataclass(kw_only=True, slots=True)
class _Present:
    """The rows that the database has at the places of some arrivals, by `uri_key`."""

    known: set[str] = field(default_factory=set)
    """Keys of the arrivals that are registered already."""
    unfinished: dict[str, int] = field(default_factory=dict)
    """For each arrival, the unfinished instance whose file it changes. If its place has several unfinished instances,
    this is the newest that was not replaced."""
    final: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """For each arrival, the instances at its place with an outcome and with another size or time."""
    returned: list[int] = field(default_factory=list)
    """Registered instances that were marked as replaced, and whose file is there again."""

    def replaced(self, key: str) -> list[int]:
        """Return the instances that a new arrival replaces.

        An instance in `unfinished` is among them if it got its outcome meanwhile.
        """
        return [*self.final.get(key, ()), *([self.unfinished[key]] if key in self.unfinished else [])]


def _compare(connection: Connection, source_id: int, by_key: dict[str, Arrival]) -> _Present:
    present = _Present()
    unfinished: dict[str, tuple[bool, int]] = {}
    for row in connection.execute(_KNOWN, {"source": source_id, "keys": list(by_key)}):
        arrival = by_key[row.uri_key]
        if (row.size, row.mtime_ns) == (arrival.size, arrival.mtime_ns):
            present.known.add(row.uri_key)
            if row.replaced_by is not None:
                present.returned.append(row.id)
        elif row.state in UNFINISHED:
            candidate = row.replaced_by is None, row.id
            unfinished[row.uri_key] = max(candidate, unfinished.get(row.uri_key, candidate))
        else:
            present.final[row.uri_key].append(row.id)
    present.unfinished = {key: image_id for key, (_, image_id) in unfinished.items() if key not in present.known}
    return present


def _change(connection: Connection, arrivals: dict[str, Arrival], unfinished: dict[str, int]) -> set[str]:
    """Update unfinished rows to describe the newer files. Returns the keys of all rows that were still unfinished."""
    if not unfinished:
        return set()
    taken = set(connection.execute(_TAKE_BACK, {"instances": list(unfinished.values())}).scalars())
    changed = {key: instance_id for key, instance_id in unfinished.items() if instance_id in taken}
    if changed:
        rows: list[dict[str, Any]] = [
            {"instance": instance_id, "new_size": arrivals[key].size, "new_mtime_ns": arrivals[key].mtime_ns}
            for key, instance_id in changed.items()
        ]
        connection.execute(_CHANGE, rows)
    return set(changed)


def register_members(
    connection: Connection,
    *,
    source_id: int,
    parent_id: int,
    arrivals: Sequence[Arrival],
    priority: int,
    now: datetime,
) -> None:
    """Register the members of the archive `parent_id`; members that are already known stay as they are."""
    for start in range(0, len(arrivals), _CHUNK):
        by_key = {uri_key(arrival.uri): arrival for arrival in arrivals[start : start + _CHUNK]}
        _insert(connection, source_id, by_key, priority, now, parent_id=parent_id)


def _insert(
    connection: Connection,
    source_id: int,
    new: dict[str, Arrival],
    priority: int,
    now: datetime,
    *,
    parent_id: int | None = None,
    senders: Mapping[CallingEntity | None, int] = {},
) -> None:
    rows = [
        (
            source_id,
            arrival.uri,
            key,
            arrival.size,
            arrival.mtime_ns,
            now,
            parent_id,
            arrival.member_name,
            senders.get(arrival.sender),
        )
        for key, arrival in new.items()
    ]
    insert_if_absent(connection, instances, _ARRIVAL_COLUMNS, rows)
    keys: defaultdict[int, list[str]] = defaultdict(list)
    for key, arrival in new.items():
        keys[priority if arrival.priority is None else arrival.priority].append(key)
    for chosen, of_priority in keys.items():
        connection.execute(_FIRST_WORK, {"source": source_id, "keys": of_priority, "priority": chosen})


_ARRIVAL_COLUMNS = (
    *("source_id", "uri", "uri_key", "size", "mtime_ns"),
    *("arrived_at", "parent_id", "member_name", "sender_id"),
)

_KNOWN = (
    select(
        instances.c.id,
        instances.c.uri_key,
        instances.c.size,
        instances.c.mtime_ns,
        instances.c.replaced_by,
        work.c.state,
    )
    .join(work, and_(work.c.instance_id == instances.c.id, work.c.ordinal == 0))
    .where(instances.c.source_id == bindparam("source"), is_any_of(instances.c.uri_key, "keys"))
)

_TAKE_BACK = (
    update(work)
    .where(
        work.c.instance_id.in_(bindparam("instances", expanding=True)),
        work.c.ordinal == 0,
        in_state(*UNFINISHED),
    )
    .values(state=State.RECEIVED, batch_id=None, lease_until=None, not_before=None, tried_since=None, attempts=0)
    .returning(work.c.instance_id)
)

_CHANGE = (
    update(instances)
    .where(instances.c.id == bindparam("instance"))
    .values(size=bindparam("new_size"), mtime_ns=bindparam("new_mtime_ns"))
)

_FIRST_WORK = insert(work).from_select(
    ["instance_id", "ordinal", "state", "attempts", "deaths", "expiries", "priority", "alone"],
    select(
        instances.c.id,
        literal(0),
        literal(State.RECEIVED.value),
        literal(0),
        literal(0),
        literal(0),
        bindparam("priority", type_=work.c.priority.type),
        literal(False),
    )
    .outerjoin(work, work.c.instance_id == instances.c.id)
    .where(
        instances.c.source_id == bindparam("source"),
        is_any_of(instances.c.uri_key, "keys"),
        work.c.id.is_(None),
    )
    .order_by(instances.c.id),  # neighbours in a folder stay neighbours in a batch
)
