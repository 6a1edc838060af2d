"""The upgrade to schema 0015 computes what later outcomes store."""

from datetime import UTC, datetime
from typing import Any

from databases import downgrade
from sqlalchemy import MetaData, insert, select

from db import queries, schema
from db.engine import Database
from db.tables import instances, work


def test_an_upgrade_computes_suspicion_and_finds_bytes_without_a_result(empty_database: Database) -> None:
    """A result gets 1 minus the score of its normal label, or its highest score if that label has none."""
    schema.upgrade(empty_database)
    downgrade(empty_database, "0011")
    old, moment = MetaData(), datetime(2026, 11, 5, tzinfo=UTC)
    with empty_database.read() as connection:
        old.reflect(connection)
    labels = {1: (["clear", "nodule"], "clear"), 2: (["a", "b", "c"], "none"), 3: (["a"], "none"), 4: (["a"], None)}
    scores: dict[int, list[float]] = {1: [0.25, 0.75], 2: [0.5, 0.625, 0.125], 3: [0.5], 4: [0.5]}
    arrival = {"source_id": 1, "uri": "u", "size": 1, "mtime_ns": 1, "arrived_at": moment}
    work_of = {"ordinal": 0, "attempts": 1, "deaths": 0, "expiries": 0, "priority": 5, "alone": False}
    rows: dict[str, list[dict[str, Any]]] = {
        "sources": [{"id": 1, "name": "s", "kind": "folder", "root": "/", "created_at": moment}],
        "bundles": [
            {"id": number, "name": "b", "version": str(number), "digest": str(number), "registered_at": moment}
            | {"labels": names, "normal_label": normal}
            for number, (names, normal) in labels.items()
        ],
        "instances": [
            arrival | {"id": number, "uri_key": str(number), "sha256": str(min(number, 4)) if number < 7 else None}
            for number in range(1, 8)
        ],
        "work": [
            work_of
            | {"id": number, "instance_id": number, "state": "done" if number < 5 else "failed"}
            | {"bundle_id": number if number < 5 else None, "scores": scores.get(number)}
            for number in range(1, 8)
        ],
        "contents": [{"sha256": str(number), "work_id": number} for number in range(1, 5)],
    }
    for name, given in rows.items():
        statement = insert(old.tables[name])
        empty_database.write(lambda connection, to=statement, given=given: connection.execute(to, given))

    schema.upgrade(empty_database)
    with empty_database.read() as connection:
        assert connection.execute(select(work.c.suspicion).order_by(work.c.id)).scalars().all() == [
            *(0.75, 0.625, 0.5),
            *[None] * 4,
        ]
        assert connection.execute(select(instances.c.unowned).order_by(instances.c.id)).scalars().all() == [
            *[None] * 4,
            *(True, True, None),
        ]
    found = queries.images(empty_database, queries.ImageFilter(models=("b@2",), limit=10))
    assert [image["image_id"] for image in found] == [2]
