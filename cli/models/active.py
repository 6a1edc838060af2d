"""Which bundles the rules in force name. Loads no image library: producer hosts ask too."""

from cli.inputs.existing_database import one_line_errors, open_existing_database
from db.queries import routes_in_force
from nightread.errors import StopWork, UsageFault
from nightread.settings import Settings


def active_references(settings: Settings) -> set[str]:
    """`NAME@VERSION` of every bundle that a rule in force names; empty where there is no record to ask."""
    try:
        with open_existing_database(settings) as database, one_line_errors():
            return {route.bundle for route in routes_in_force(database)}
    except (UsageFault, StopWork):
        return set()
