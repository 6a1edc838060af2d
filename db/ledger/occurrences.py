"""Store in which blocks of arrivals (256 consecutive ids each) a model, device or view position occurs.

A search for a rare value then reads a few blocks instead of all arrivals. An index would do the same, but costs 1 us
per image; this table gets one row per block and value.
"""

from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy import Column, Connection, Delete, bindparam, delete, exists

from db.ledger.upsert import insert_if_absent
from db.ledger.values import Outcome
from db.store_tables import BLOCK, occurrences
from db.tables import instances

Kind = Literal["model", "manufacturer", "station", "view"]


def note_occurrences(connection: Connection, outcomes: Sequence[Outcome]) -> None:
    """Insert the blocks (256 consecutive ids each) in which the values of these outcomes occur."""
    devices = {
        (o.facts.manufacturer, o.facts.station_name, o.facts.view_position, o.instance_id // BLOCK)
        for o in outcomes
        if o.content is not None  # without content, the facts are not stored either
    }
    models = {(o.bundle_id, o.instance_id // BLOCK) for o in outcomes if o.bundle_id}
    rows: set[tuple[Kind, str, int]] = {("model", str(bundle_id), block) for bundle_id, block in models}
    for manufacturer, station, view, block in devices:
        named = ("manufacturer", manufacturer), ("station", station), ("view", view)
        rows.update((kind, value, block) for kind, value in named if value)  # type: ignore[misc]
    rows.update(
        ("model", str(prediction.bundle_id), outcome.instance_id // BLOCK)
        for outcome in outcomes
        for prediction in outcome.further
    )
    insert_if_absent(connection, occurrences, ("kind", "value", "block"), sorted(rows))


def forget_occurrences(connection: Connection, image_ids: Sequence[int]) -> None:
    """Remove devices and view positions from the blocks of these images if no image of the block has them any more."""
    blocks = sorted({image_id // BLOCK for image_id in image_ids})
    for kind, column in _OF_HEADERS.items():
        connection.execute(_forget(kind, column), {"blocks": blocks})


_OF_HEADERS: dict[Kind, Column[Any]] = {
    "manufacturer": instances.c.manufacturer,
    "station": instances.c.station_name,
    "view": instances.c.view_position,
}


def _forget(kind: Kind, column: Column[Any]) -> Delete:
    first = occurrences.c.block * BLOCK
    still = exists().where(instances.c.id >= first, instances.c.id < first + BLOCK, column == occurrences.c.value)
    blocks = occurrences.c.block.in_(bindparam("blocks", expanding=True))
    return delete(occurrences).where(blocks, occurrences.c.kind == kind, ~still)
