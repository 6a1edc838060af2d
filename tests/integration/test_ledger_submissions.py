"""Images that clients send to the HTTP API are registered with their senders, and their ids are returned."""

from dataclasses import replace

from ledger_driver import LedgerDriver, build_arrivals
from sqlalchemy import select

from db import ledger
from db.ledger import Arrival, CallingEntity
from db.store_tables import senders


def _submit(driver: LedgerDriver, *arrivals: Arrival, source_id: int | None = None) -> dict[str, int]:
    return ledger.submit(
        driver.database, source_id=source_id or driver.source_id, arrivals=arrivals, priority=5, now=driver.clock()
    )


def test_the_ids_of_the_submitted_images_are_returned(ledger_driver: LedgerDriver) -> None:
    """Those of known images too; not those of other images of the source."""
    first, second, third = build_arrivals(3)
    assert _submit(ledger_driver, first) == {first.uri: 1}
    assert _submit(ledger_driver, second, third) == {second.uri: 2, third.uri: 3}
    assert _submit(ledger_driver, third, first) == {first.uri: 1, third.uri: 3}
    assert ledger_driver.states() == ["received"] * 3


def test_images_of_two_sources_may_have_the_same_place(ledger_driver: LedgerDriver) -> None:
    """Each source gets the id of its own image."""
    database = ledger_driver.database
    other = ledger.ensure_source(database, name="other", kind="api", root="/other", now=ledger_driver.clock())
    (image,) = build_arrivals(1)
    assert _submit(ledger_driver, image) == {image.uri: 1}
    assert _submit(ledger_driver, image, source_id=other) == {image.uri: 2}
    assert _submit(ledger_driver, image) == {image.uri: 1}


def test_an_image_keeps_the_sender_that_sent_it(ledger_driver: LedgerDriver) -> None:
    """An image may have none."""
    known, unknown = build_arrivals(2)
    sender = CallingEntity(calling_ae="key of ann", address="10.0.0.1")
    _submit(ledger_driver, replace(known, sender=sender), unknown)

    with ledger_driver.database.read() as connection:
        (row,) = connection.execute(select(senders)).all()
    assert (row.source_id, row.calling_ae, row.address) == (ledger_driver.source_id, "key of ann", "10.0.0.1")
    assert [image.sender_id for image in ledger_driver.instances()] == [row.id, None]
