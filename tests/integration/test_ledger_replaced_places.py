"""A replaced file is marked at its own place only, whatever else arrives or is read with it."""

from typing import Any

import pytest
from ledger_driver import LedgerDriver, build_outcome
from sqlalchemy.dialects import postgresql, sqlite

from db import ledger
from db.ledger import Arrival
from db.ledger.receipts import _upsert
from db.ledger.upsert import _statement
from db.tables import State, sources
from nightread.reasons import Reason


def file(uri: str, number: int) -> Arrival:
    return Arrival(uri=uri, size=number, mtime_ns=number)


def record(ledger_driver: LedgerDriver, *contents: str) -> None:
    """Record all waiting images in one batch, with a digest each, oldest first."""
    (batch,) = ledger_driver.form()
    images = ledger_driver.claim(batch)
    ledger_driver.record(
        batch, [build_outcome(image, content=each * 64) for image, each in zip(images, contents, strict=True)]
    )


def replaced_by(ledger_driver: LedgerDriver) -> list[int | None]:
    return [row.replaced_by for row in ledger_driver.instances()]


def add_source(ledger_driver: LedgerDriver, name: str) -> int:
    return ledger.ensure_source(
        ledger_driver.database, name=name, kind="folder", root=f"/{name}", now=ledger_driver.clock()
    )


def test_each_of_several_files_is_replaced_by_that_of_its_own_name(ledger_driver: LedgerDriver) -> None:
    """They change in one pass over the folder."""
    ledger_driver.register([file("a", 1), file("b", 1)])
    record(ledger_driver, "1", "2")
    ledger_driver.register([file("b", 2), file("a", 2), file("c", 2)])
    rows = [row.uri for row in ledger_driver.instances()]
    assert rows == ["a", "b", "b", "a", "c"]
    assert replaced_by(ledger_driver) == [4, 3, None, None, None]


@pytest.mark.parametrize("touched_first", [True, False])
def test_a_touched_file_is_found_among_the_images_of_its_batch(
    ledger_driver: LedgerDriver, *, touched_first: bool
) -> None:
    """It may be the first or the last of them."""
    ledger_driver.register([file("a", 1)])
    record(ledger_driver, "1")
    touched, others = file("a", 2), [file("b", 2), file("c", 2)]
    ledger_driver.register([touched, *others] if touched_first else [*others, touched])
    record(ledger_driver, *("123" if touched_first else "231"))
    assert replaced_by(ledger_driver) == [None] * 4


def test_a_batch_without_any_hash_brings_nothing_back(ledger_driver: LedgerDriver) -> None:
    """The newer file could not be read."""
    ledger_driver.register([file("a", 1)])
    record(ledger_driver, "1")
    ledger_driver.register([file("a", 2)])
    ledger_driver.analyse_all(state=State.FAILED, reason=Reason.IO_ERROR, content=None)
    assert replaced_by(ledger_driver) == [2, None]


def test_a_touched_file_brings_nothing_back_in_another_source(ledger_driver: LedgerDriver) -> None:
    """There the same name had the same bytes, and has others now."""
    inbox, ward = ledger_driver.source_id, add_source(ledger_driver, "ward")
    for source, second in ((ward, "2"), (inbox, "1")):
        ledger_driver.source_id = source
        for number, content in enumerate(("1", second), start=1):
            ledger_driver.register([file("a", number)])
            record(ledger_driver, content)
    assert replaced_by(ledger_driver) == [2, None, None, None]


def test_a_touched_file_brings_nothing_back_at_another_place(ledger_driver: LedgerDriver) -> None:
    """There the file had the same bytes, and has others now."""
    for name, second in (("b", "2"), ("a", "1")):
        for number, content in enumerate(("1", second), start=1):
            ledger_driver.register([file(name, number)])
            record(ledger_driver, content)
    assert replaced_by(ledger_driver) == [2, None, None, None]


def test_a_file_that_comes_back_replaces_nothing_elsewhere(ledger_driver: LedgerDriver) -> None:
    """Neither under another name nor in another source; an earlier mark of its own place stays."""
    inbox, ward = ledger_driver.source_id, add_source(ledger_driver, "ward")
    ledger_driver.source_id = ward
    ledger_driver.register([file("a", 9)])
    record(ledger_driver, "9")
    ledger_driver.source_id = inbox
    ledger_driver.register([file("b", 8)])
    record(ledger_driver, "8")
    for number, content in enumerate("123", start=1):
        ledger_driver.register([file("a", number)])
        record(ledger_driver, content)
    assert replaced_by(ledger_driver) == [None, None, 4, 5, None]
    ledger_driver.register([file("a", 1)])
    assert replaced_by(ledger_driver) == [None, None, None, 5, 3]


def test_each_database_has_statements_of_its_own() -> None:
    """ON CONFLICT is no standard SQL."""
    kinds: list[tuple[str, Any]] = [("sqlite", sqlite.Insert), ("postgresql", postgresql.Insert)]
    for name, kind in kinds:
        assert type(_upsert(name)) is kind
        assert type(_statement(name, sources)) is kind
