"""The routing rules in force."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from db.engine import Database
from db.tables import bundles, routes


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """One rule, as models.routing understands it."""

    id: int
    bundle: str
    """`NAME@VERSION`."""
    digest: str
    """Of the bundle that was activated: another folder of the same name is not meant."""
    bundle_id: int
    role: str
    conditions: tuple[str, ...]
    began_at: datetime


def routes_in_force(database: Database) -> tuple[Route, ...]:
    """In the order in which they are looked at."""
    with database.read() as connection:
        return tuple(
            Route(
                id=row.id,
                bundle=f"{row.name}@{row.version}",
                digest=row.digest,
                bundle_id=row.bundle_id,
                role=row.role,
                conditions=tuple(row.conditions),
                began_at=row.began_at,
            )
            for row in connection.execute(_IN_FORCE)
        )


_IN_FORCE = (
    select(
        routes.c.id,
        routes.c.bundle_id,
        routes.c.role,
        routes.c.conditions,
        routes.c.began_at,
        bundles.c.name,
        bundles.c.version,
        bundles.c.digest,
    )
    .join(bundles, bundles.c.id == routes.c.bundle_id)
    .where(routes.c.ended_at.is_(None))
    .order_by(routes.c.position, routes.c.id)
)
