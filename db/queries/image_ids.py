"""Find the ids of images by a filter, or by the places at which they arrived."""

from collections.abc import Iterable

from sqlalchemy import select

from db.engine import Database
from db.ledger.arrivals import uri_key
from db.queries.filters import ImageFilter, conditions
from db.tables import instances, work


def image_ids(database: Database, wanted: ImageFilter) -> list[int]:
    """Return the ids of the images that match the filter, in ascending order."""
    statement = (
        select(instances.c.id)
        .join(work, work.c.instance_id == instances.c.id)
        .where(*conditions(wanted))
        .order_by(instances.c.id)
        .limit(wanted.limit)
    )
    with database.read() as connection:
        return list(connection.execute(statement).scalars())


def image_ids_at(database: Database, places: Iterable[tuple[int, str]]) -> list[int]:
    """Return the ids of all arrivals at these places, given as (source id, uri), in ascending order."""
    found: set[int] = set()
    with database.read() as connection:
        for source_id, uri in places:
            statement = select(instances.c.id).where(
                instances.c.source_id == source_id, instances.c.uri_key == uri_key(uri)
            )
            found.update(connection.execute(statement).scalars())
    return sorted(found)
