"""A purge takes copies and emptied archives along, and leaves notes, versions and conflicts consistent."""

from collections.abc import Callable

import pytest
from ledger_driver import LedgerDriver, build_outcome
from sqlalchemy import select
from trusted_arrivals import SOP, TrustedArrivals

from db import ledger, queries
from db.ledger import Arrival
from db.queries import ImageFilter
from db.store_tables import withdrawals
from db.tables import State

MakeArrivals = Callable[..., list[Arrival]]


@pytest.fixture
def arrivals(ledger_driver: LedgerDriver) -> TrustedArrivals:
    """Records arrivals one by one."""
    return TrustedArrivals(ledger_driver=ledger_driver)


def _purge(driver: LedgerDriver, *image_ids: int) -> ledger.Purged:
    ids = queries.with_copies(driver.database, image_ids)
    return ledger.purge(driver.database, ids, cause="image", actor="ann", now=driver.clock())


def test_notes_and_versions_of_a_study_go_together(arrivals: TrustedArrivals) -> None:
    """The note is found by its study only if its header was stored, so its rows of withdrawals go with the study."""
    old, new = arrivals.image("ct", "a"), arrivals.image("ct", "b")
    arrivals.note("ct")
    _purge(arrivals.ledger_driver, old, new)
    with arrivals.ledger_driver.database.read() as connection:
        assert connection.execute(select(withdrawals)).all() == []
    assert arrivals.withdrawn_by(old, new) == [None, None]
    assert list(queries.violations(arrivals.ledger_driver.database)) == []


def test_an_older_version_stays_superseded(arrivals: TrustedArrivals) -> None:
    """The purge of the current version alone does not bring an outdated result back."""
    old, new = arrivals.image("ct", "a"), arrivals.image("ct", "b")
    _purge(arrivals.ledger_driver, new)
    assert arrivals.superseded_by(old) == [new]
    assert list(queries.violations(arrivals.ledger_driver.database)) == []


def test_a_conflict_ends_with_the_purge_of_the_other_image(arrivals: TrustedArrivals) -> None:
    """The image that is left is contested by nobody."""
    mine, other = arrivals.image("ct", "a"), arrivals.image("mr", "b")
    assert arrivals.conflict_with(mine) == [other]
    _purge(arrivals.ledger_driver, other)
    assert arrivals.conflict_with(mine) == [None]


def test_an_archive_goes_with_its_last_image(arrivals: TrustedArrivals) -> None:
    """One of two images leaves the archive as it is; with both it is purged, with its copies."""
    archive, first, second = arrivals.archive("ct", "z", "a", "b")
    copy, *_ = arrivals.archive("mr", "z")
    database = arrivals.ledger_driver.database
    one = queries.with_copies(database, [first])
    assert one == [first]
    assert queries.purge_preview(database, one).mixed_archives == (archive,)
    assert queries.with_copies(database, [first, second]) == [copy, first, second, archive]
    assert queries.with_copies(database, [archive]) == [copy, first, second, archive]
    _purge(arrivals.ledger_driver, first, second)
    assert list(queries.violations(database)) == []


def test_copies_are_purged_with_their_original_and_the_bytes_may_come_again(arrivals: TrustedArrivals) -> None:
    """Whichever of them is named; a later copy is analysed, because nobody has its result."""
    first, other = arrivals.image("ct", "a"), arrivals.image("ct", "b", sop="1.2.1.8")
    copy = arrivals.image("mr", "a")
    assert queries.with_copies(arrivals.ledger_driver.database, [copy]) == [copy, first]
    assert _purge(arrivals.ledger_driver, copy).images == 2
    again = arrivals.image("mr", "a")
    assert arrivals.ledger_driver.states() == ["done", "done", "duplicate", "done"]
    database = arrivals.ledger_driver.database
    assert [row["image_id"] for row in queries.images(database, ImageFilter(sop_instance_uid=SOP))] == [again]
    assert other not in queries.purged_among(database, [first, copy, other, again])
    assert list(queries.violations(database)) == []


def test_a_copy_that_was_read_before_the_purge_is_analysed_itself(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals
) -> None:
    """Its worker found the original, and the purge came before the outcome was recorded."""
    ledger_driver.register(make_arrivals(1))
    ledger_driver.analyse_all(content="a" * 64)
    ledger_driver.register(make_arrivals(1))
    (batch,) = ledger_driver.form()
    (claimed,) = ledger_driver.claim(batch)
    _purge(ledger_driver, 1)
    copy = build_outcome(claimed, state=State.DUPLICATE, content="a" * 64, duplicate_of=1)
    assert ledger_driver.record(batch, [copy]) == {"received": 1}
    ledger_driver.analyse_all(content="a" * 64)
    assert ledger_driver.states() == ["done", "done"]
    assert list(queries.violations(ledger_driver.database)) == []
