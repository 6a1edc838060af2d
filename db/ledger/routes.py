"""Add, end and replace routing rules; each change is written to `audit` with the person who made it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from db.engine import Database
from db.store_tables import routes
from db.tables import audit, bundles


@dataclass(frozen=True, kw_only=True, slots=True)
class NewRoute:
    """A routing rule to be added."""

    bundle_id: int
    role: str
    conditions: tuple[str, ...]


def add_route(database: Database, route: NewRoute, *, first: bool, actor: str, now: datetime) -> int:
    """Add a rule after all others, or before all others if `first` is set. Returns its id."""

    def transaction(connection: Connection) -> int:
        edge = connection.execute(_FIRST if first else _LAST).scalar_one_or_none()
        position = 0 if edge is None else edge - 1 if first else edge + 1
        number = _insert(connection, route, position, now)
        _write_audit(connection, actor, "activate", [number], now)
        return number

    return database.write(transaction)


def end_routes(database: Database, route_ids: Sequence[int], *, actor: str, now: datetime) -> int:
    """End rules. Returns how many of them were active."""

    def transaction(connection: Connection) -> int:
        ended = _end(connection, route_ids, now)
        if ended:
            _write_audit(connection, actor, "deactivate", route_ids, now)
        return ended

    return database.write(transaction)


def replace_bundle(
    database: Database,
    old_id: int,
    new_id: int,
    *,
    actor: str,
    now: datetime,
    because: Mapping[str, Any] | None = None,
) -> int:
    """Replace all active rules for the bundle `old_id` by rules for `new_id`, at the same positions.

    The row of `audit` keeps `because`, for example the comparison that justified the replacement. Returns the number of
    replaced rules.
    """

    def transaction(connection: Connection) -> int:
        taken = connection.execute(
            select(routes).where(routes.c.ended_at.is_(None), routes.c.bundle_id == old_id).with_for_update()
        ).all()
        _end(connection, [row.id for row in taken], now)
        fresh = [
            _insert(
                connection,
                NewRoute(bundle_id=new_id, role=row.role, conditions=tuple(row.conditions)),
                row.position,
                now,
            )
            for row in taken
        ]
        if fresh:
            _write_audit(connection, actor, "replace", [*(row.id for row in taken), *fresh], now, because)
        return len(fresh)

    return database.write(transaction)


def _insert(connection: Connection, route: NewRoute, position: int, now: datetime) -> int:
    values = {
        "position": position,
        "bundle_id": route.bundle_id,
        "role": route.role,
        "conditions": list(route.conditions),
        "began_at": now,
    }
    return int(connection.execute(insert(routes).values(values).returning(routes.c.id)).scalar_one())


def _end(connection: Connection, route_ids: Sequence[int], now: datetime) -> int:
    ended = update(routes).where(routes.c.id.in_(route_ids), routes.c.ended_at.is_(None)).values(ended_at=now)
    return connection.execute(ended).rowcount


def _write_audit(
    connection: Connection,
    actor: str,
    action: str,
    route_ids: Sequence[int],
    now: datetime,
    because: Mapping[str, Any] | None = None,
) -> None:
    named = connection.execute(
        select(routes.c.id, routes.c.position, routes.c.role, routes.c.conditions, bundles.c.name, bundles.c.version)
        .join(bundles, bundles.c.id == routes.c.bundle_id)
        .where(routes.c.id.in_(route_ids))
        .order_by(routes.c.id)
    ).mappings()
    detail: dict[str, Any] = {"routes": [dict(row) for row in named]}
    if because is not None:
        detail["because"] = dict(because)
    connection.execute(insert(audit).values(at=now, actor=actor, action=f"route.{action}", detail=detail))


_FIRST = select(func.min(routes.c.position)).where(routes.c.ended_at.is_(None))
_LAST = select(func.max(routes.c.position)).where(routes.c.ended_at.is_(None))
