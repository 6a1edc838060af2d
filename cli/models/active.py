"""Read which rules are active and which models the workers use, without loading an image library."""

from dataclasses import dataclass

from cli.inputs.existing_database import one_line_errors, open_existing_database
from db import queries
from db.queries import Worker
from nightread.clock import utc_now
from nightread.errors import StopWork, UsageFault
from nightread.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Active:
    """What the database says about models in use; empty if there is no database."""

    references: frozenset[str] = frozenset()
    """`NAME@VERSION` of each bundle that an active rule names."""
    rules: int = 0
    workers: tuple[Worker, ...] = ()


def read_active(settings: Settings) -> Active:
    """Return the active rules and the workers; an empty result if there is no database or it is unavailable."""
    try:
        with open_existing_database(settings) as database, one_line_errors():
            routes = queries.routes_in_force(database)
            workers = tuple(queries.workers(database, now=utc_now()))
    except (UsageFault, StopWork):
        return Active()
    return Active(references=frozenset(route.bundle for route in routes), rules=len(routes), workers=workers)
