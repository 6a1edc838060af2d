"""List the active routing rules."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from db.engine import Database
from db.store_tables import routes
from db.tables import bundles


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """One routing rule, for models.routing."""

    id: int
    bundle: str
    """`NAME@VERSION`."""
    digest: str
    """Digest of the bundle; the rule does not apply to other bundles with the same name."""
    bundle_id: int
    role: str
    conditions: tuple[str, ...]
    began_at: datetime


def routes_in_force(database: Database) -> tuple[Route, ...]:
    """Return the active rules in the order in which they apply."""
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
