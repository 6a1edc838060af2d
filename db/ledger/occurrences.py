"""Note in which blocks of arrivals a model or a device occurs.

A search for a rare one then reads a few blocks instead of all arrivals. An index entry per image would do the same, but
costs 1 us each; this costs one row per batch and value.
"""

from collections.abc import Sequence
from typing import Literal

from sqlalchemy import Connection

from db.ledger.upsert import insert_if_absent
from db.ledger.values import Outcome
from db.store_tables import BLOCK, occurrences

Kind = Literal["model", "manufacturer", "station", "view"]


def note_occurrences(connection: Connection, outcomes: Sequence[Outcome]) -> None:
    """Insert the blocks that these outcomes add."""
    seen = {
        (o.bundle_id, o.facts.manufacturer, o.facts.station_name, o.facts.view_position, o.instance_id // BLOCK)
        for o in outcomes
    }
    rows: set[tuple[Kind, str, int]] = set()
    for bundle_id, manufacturer, station, view, block in seen:
        named = ("model", bundle_id and str(bundle_id)), ("manufacturer", manufacturer), ("station", station)
        rows.update((kind, value, block) for kind, value in (*named, ("view", view)) if value)  # type: ignore[misc]
    rows.update(
        ("model", str(prediction.bundle_id), outcome.instance_id // BLOCK)
        for outcome in outcomes
        for prediction in outcome.further
    )
    insert_if_absent(connection, occurrences, ("kind", "value", "block"), sorted(rows))
