"""List the bundles that active rules name, without loading an image library."""

from cli.inputs.existing_database import one_line_errors, open_existing_database
from db.queries import routes_in_force
from nightread.errors import StopWork, UsageFault
from nightread.settings import Settings


def active_references(settings: Settings) -> set[str]:
    """Return `NAME@VERSION` of each bundle that an active rule names; an empty set if the database is unavailable."""
    try:
        with open_existing_database(settings) as database, one_line_errors():
            return {route.bundle for route in routes_in_force(database)}
    except (UsageFault, StopWork):
        return set()
