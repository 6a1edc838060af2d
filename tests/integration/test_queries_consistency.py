"""Contradictions in a database are found, on both databases."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from ledger_driver import LedgerDriver
from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from db import ledger, queries
from db.ledger import Arrival
from db.series_tables import series
from db.store_tables import occurrences
from db.tables import State, batches, contents, instances, predictions, work
from imaging.facts import Facts
from nightread.reasons import Reason

MakeArrivals = Callable[..., list[Arrival]]

_NAMED_ROWS = "every row names rows that exist"
_FRAMES = "a done image has predictions for each of its frames"
_DUPLICATES = "a duplicate names a done image with the same bytes"
_DEVICES_NOTED = "the devices and views of each image are stored for its block of arrivals"
_NOTED_OF_IMAGE = "each device, view and model that is stored for a block of arrivals occurs in the block"
_FACTS = Facts(manufacturer="GE", station_name="CT1", view_position="PA")
_EVENING = datetime(2026, 11, 5, 22, 0, tzinfo=UTC)
_PREDICTION = {"work_id": 3, "frame": 0, "score": 0.5, "scores": [0.5]}


def _work(image_id: int, **values: Any) -> Any:
    return update(work).where(work.c.instance_id == image_id).values(**values)


def _instance(image_id: int, **values: Any) -> Any:
    return update(instances).where(instances.c.id == image_id).values(**values)


def _noted(kind: str, value: str, block: int) -> Any:
    return insert(occurrences).values(kind=kind, value=value, block=block)


def _series(**values: Any) -> Any:
    known = {"series_instance_uid": "1.2.3", "study_instance_uid": "1.2", "state": "formed", "attempts": 1}
    return insert(series).values({**known, "began_at": _EVENING, "changed_at": _EVENING, **values})


_NAMELESS = [
    (_instance(3, source_id=999), 3),
    (_work(4, instance_id=999), 999),
    (insert(predictions).values(_PREDICTION | {"work_id": 999}), None),
    (insert(contents).values(content="f" * 64, work_id=999), None),
]
_DAMAGE = [
    ("the counts add up", delete(work).where(work.c.instance_id == 4), None),
    ("every arrival has exactly one first row of work", delete(work).where(work.c.instance_id == 4), 4),
    ("only done images have predictions", insert(predictions).values(_PREDICTION), 3),
    (_FRAMES, delete(predictions).where(predictions.c.work_id == 1), 1),
    (_FRAMES, _instance(1, frames=2), 1),
    (_DUPLICATES, _work(2, duplicate_of=3), 2),
    (_DUPLICATES, _work(2, duplicate_of=999), 2),
    ("a result names a bundle that is registered", _work(1, bundle_id=999), 1),
    (_DUPLICATES, _instance(2, content="x"), 2),
    ("only one of the images with the same bytes is done", _work(2, state="done"), 2),
    ("every row of contents points to a done image or archive with these bytes", _work(1, state="failed"), 1),
    ("every done image or archive has a row of contents", delete(contents), 1),
    ("queued and running images are in an open batch", update(batches).values(finished_at=batches.c.created_at), 5),
    ("a superseded image names a newer one with the same UIDs", _instance(2, superseded_by=1), 2),
    ("a member of an archive names an archive that was expanded", _instance(2, parent_id=1), 2),
    ("a withdrawn image is named by a note of its study", _instance(1, withdrawn_by=3), 1),
    ("a purged image has no content, no facts and no results", _instance(3, purged_at=_EVENING), 3),
    ("a final row of work has a finish time", _work(1, finished_at=None), 1),
    ("an unfinished row of work has no finish time", _work(1, state="received"), 1),
    ("rejected and failed images have a reason from the list", _work(3, reason="bad luck"), 3),
    (_DEVICES_NOTED, delete(occurrences).where(occurrences.c.kind == "station"), 1),
    (_DEVICES_NOTED, _instance(4, view_position="AP"), 4),
    ("the model of each result is stored for the image's block of arrivals", update(occurrences).values(block=1), 1),
    (_NOTED_OF_IMAGE, update(instances).values(station_name=None), 1),
    (_NOTED_OF_IMAGE, _noted("manufacturer", "Nobody", 0), 1),
    (_NOTED_OF_IMAGE, _noted("view", "PA", 9), None),
    (_NOTED_OF_IMAGE, _noted("model", "999", 0), 1),
    (_NOTED_OF_IMAGE, _noted("model", "1", 9), None),
    (_NOTED_OF_IMAGE, _noted("scanner", "CT1", 0), 1),
    ("every series has at least one image", _series(), None),
    ("a series is claimed exactly while it is being formed", _series(claim="x", lease_until=_EVENING), None),
    ("a series is claimed exactly while it is being formed", _series(state="forming"), None),
]


@pytest.fixture
def database_with_images(ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, bundle_id: int) -> LedgerDriver:
    """Images: 1 done, 2 its duplicate, 3 rejected, 4 waiting, 5 queued."""
    ledger_driver.register(make_arrivals(2))
    ledger_driver.analyse_all(bundle_id=bundle_id, content="a" * 64, facts=_FACTS)
    ledger_driver.register(make_arrivals(1))
    ledger_driver.analyse_all(state=State.REJECTED, reason=Reason.EMPTY)
    ledger_driver.register(make_arrivals(1), priority=9)
    ledger_driver.register(make_arrivals(1))
    ledger_driver.form(count=1, images=1)
    return ledger_driver


def test_a_sound_database_has_no_violations(database_with_images: LedgerDriver) -> None:
    """Everything that the ledger writes follows the rules."""
    assert list(queries.violations(database_with_images.database)) == []


@pytest.mark.parametrize(("rule", "damage", "image_id"), _DAMAGE)
def test_damage_is_found_by_the_rule_it_breaks(
    database_with_images: LedgerDriver, rule: str, damage: Any, image_id: int | None
) -> None:
    """Each rule names the image whose row is wrong."""
    database_with_images.database.write(lambda connection: connection.execute(damage))

    assert queries.Violation(rule=rule, image_id=image_id) in list(queries.violations(database_with_images.database))


@pytest.mark.parametrize(("damage", "image_id"), _NAMELESS)
def test_a_row_that_names_a_missing_row_is_refused_or_found(
    database_with_images: LedgerDriver, damage: Any, image_id: int | None
) -> None:
    """SQLite has foreign keys, which cost it nothing; on PostgreSQL the audit finds what they would refuse."""
    database = database_with_images.database
    if database.is_sqlite:
        with pytest.raises(IntegrityError):
            database.write(lambda connection: connection.execute(damage))
        return
    database.write(lambda connection: connection.execute(damage))

    assert queries.Violation(rule=_NAMED_ROWS, image_id=image_id) in list(queries.violations(database))


def test_only_stored_headers_are_noted(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, bundle_id: int
) -> None:
    """A try that stores no header notes nothing, and an image that is read again leaves no earlier device behind."""
    ledger_driver.register(make_arrivals(1))
    for fields in (
        {"state": State.RECEIVED, "facts": Facts(station_name="FIRST")},
        {"state": State.REJECTED, "reason": Reason.NO_MODEL, "facts": Facts(station_name="OLD"), "content": "a" * 64},
    ):
        ledger_driver.analyse_all(**fields)
    ledger.retry(ledger_driver.database, [1], actor="ann", now=ledger_driver.clock())
    ledger_driver.analyse_all(bundle_id=bundle_id, facts=Facts(station_name="NEW"), content="b" * 64)

    with ledger_driver.database.read() as connection:
        stations = select(occurrences.c.value).where(occurrences.c.kind == "station")
        assert list(connection.execute(stations).scalars()) == ["NEW"]
    assert list(queries.violations(ledger_driver.database)) == []


def test_every_rule_is_tested() -> None:
    """A new rule needs an entry in _DAMAGE."""
    assert {_NAMED_ROWS, *(rule for rule, _, _ in _DAMAGE)} == set(queries.RULES)
