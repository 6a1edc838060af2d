"""Register a bundle in the database, for commands that need its id."""

from db import ledger
from db.engine import Database
from models.bundle import Bundle
from nightread.clock import utc_now


def register_bundle(database: Database, bundle: Bundle) -> int:
    """Return the id of the bundle in the database; insert it if it is new."""
    return ledger.register_bundle(
        database,
        name=bundle.name,
        version=bundle.version,
        digest=bundle.digest,
        labels=bundle.labels,
        normal_label=bundle.postprocessing.normal_label,
        codes=bundle.codes,
        of_series=bundle.series is not None,
        now=utc_now(),
    )
