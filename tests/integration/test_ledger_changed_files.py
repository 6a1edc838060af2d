"""The rows of files that changed while they were analysed, and of files that were unpacked."""

from dataclasses import replace
from typing import Any

import pytest
from ledger_driver import LedgerDriver, build_arrivals, build_outcome

from db import ledger
from db.ledger import Annotations, Arrival, Claimed, Members, Outcome, Registered
from db.ledger.arrivals import _change
from db.tables import State
from nightread.reasons import Reason


def claim_one(ledger_driver: LedgerDriver, size: int = 5, mtime_ns: int = 5, *, uri: str = "a.dcm") -> Any:
    """Register one file and claim it; return its batch and its image."""
    ledger_driver.register([Arrival(uri=uri, size=size, mtime_ns=mtime_ns)])
    (batch,) = ledger_driver.form()
    (image,) = ledger_driver.claim(batch)
    return batch, image


def again(image: Claimed, **fields: Any) -> Any:
    return build_outcome(image, state=State.RECEIVED, reason=Reason.IO_ERROR, **fields)


def test_a_result_without_size_and_time_is_stored(ledger_driver: LedgerDriver) -> None:
    """It was not read from the file, so it says nothing about a change."""
    batch, image = claim_one(ledger_driver)
    assert ledger_driver.record(batch, [build_outcome(image, size=None, mtime_ns=None)]) == {"done": 1}
    (instance,) = ledger_driver.instances()
    assert (instance.size, instance.mtime_ns) == (5, 5)


@pytest.mark.parametrize(("size", "mtime_ns", "kept"), [(6, 7, (6, 7)), (None, None, (5, 5))])
def test_an_image_that_is_tried_again_has_the_bytes_that_the_worker_saw(
    ledger_driver: LedgerDriver, size: int | None, mtime_ns: int | None, kept: tuple[int, int]
) -> None:
    """It keeps its reason. Without size and time the row stays as it is, and so does that of another image."""
    ledger_driver.register([Arrival(uri="other.dcm", size=1, mtime_ns=1)])
    ledger_driver.analyse_all()
    batch, image = claim_one(ledger_driver)
    ledger_driver.record(batch, [again(image, size=size, mtime_ns=mtime_ns)])
    other, row = ledger_driver.instances()
    assert ((other.size, other.mtime_ns), (row.size, row.mtime_ns)) == ((1, 1), kept)
    assert ledger_driver.work()[1].reason == Reason.IO_ERROR


def test_a_row_of_the_same_name_in_another_source_does_not_matter(ledger_driver: LedgerDriver) -> None:
    """It has the bytes that the worker saw; the row follows its own file all the same."""
    inbox = ledger_driver.source_id
    ledger_driver.source_id = ledger.ensure_source(
        ledger_driver.database, name="ward", kind="folder", root="/ward", now=ledger_driver.clock()
    )
    ledger_driver.register([Arrival(uri="a.dcm", size=1, mtime_ns=1)])
    ledger_driver.analyse_all()
    ledger_driver.source_id = inbox
    batch, image = claim_one(ledger_driver)
    ledger_driver.record(batch, [again(image, size=1, mtime_ns=1)])
    row = ledger_driver.instances()[1]
    assert (row.size, row.mtime_ns) == (1, 1)


def test_only_an_image_that_is_held_is_recorded(ledger_driver: LedgerDriver) -> None:
    """Of the outcomes of another batch none is written, with or without one that is held."""
    first, one = claim_one(ledger_driver, uri="a.dcm")
    _second, two = claim_one(ledger_driver, uri="b.dcm")
    assert ledger_driver.record(first, [build_outcome(two), build_outcome(one)]) == {"done": 1}
    assert ledger_driver.states() == [State.DONE, State.RUNNING]


def test_an_image_that_was_not_claimed_is_not_recorded(ledger_driver: LedgerDriver) -> None:
    """Its batch is published, and nobody holds it."""
    ledger_driver.register(build_arrivals(1))
    (batch,) = ledger_driver.form()
    (row,), (instance,) = ledger_driver.work(), ledger_driver.instances()
    outcome = Outcome(work_id=row.id, instance_id=instance.id, state=State.FAILED, reason=Reason.TIMEOUT)
    assert ledger_driver.record(batch, [outcome]) == {}
    assert ledger_driver.states() == [State.QUEUED]


def test_a_file_that_changed_after_it_was_recorded_meanwhile_is_not_taken_back(ledger_driver: LedgerDriver) -> None:
    """The outcome was committed between the look at the row and its change."""
    (arrival,) = build_arrivals(1)
    ledger_driver.register([arrival])
    ledger_driver.analyse_all()
    (instance,) = ledger_driver.instances()
    newer = {"key": replace(arrival, size=9)}
    assert ledger_driver.database.write(lambda connection: _change(connection, newer, {"key": instance.id})) == set()
    assert ledger_driver.instances() == [instance]
    assert ledger_driver.states() == [State.DONE]


def reject(ledger_driver: LedgerDriver, size: int) -> None:
    """Register a file, which cannot be read."""
    ledger_driver.register([Arrival(uri="a.dcm", size=size, mtime_ns=size)])
    ledger_driver.analyse_all(state=State.REJECTED, reason=Reason.TRUNCATED, content=f"{size}" * 64)


@pytest.mark.parametrize("size", [1, 9])
def test_of_two_waiting_images_of_a_place_the_newer_one_follows_the_file(
    ledger_driver: LedgerDriver, size: int
) -> None:
    """A person retries the earlier one, although its file was replaced; that of the later one is written again."""
    reject(ledger_driver, size)
    ledger_driver.register([Arrival(uri="a.dcm", size=2, mtime_ns=2)])
    assert ledger.retry(ledger_driver.database, [1], actor="ann", now=ledger_driver.clock()) == 1
    assert ledger_driver.register([Arrival(uri="a.dcm", size=3, mtime_ns=3)]) == Registered(new=0, changed=1)
    assert [(row.size, row.replaced_by) for row in ledger_driver.instances()] == [(size, 2), (3, None)]


@pytest.mark.parametrize("size", [1, 9])
def test_of_two_waiting_images_the_one_whose_file_came_back_follows_the_file(
    ledger_driver: LedgerDriver, size: int
) -> None:
    """Otherwise the result of the file that is there would count as replaced."""
    reject(ledger_driver, size)
    ledger_driver.register([Arrival(uri="a.dcm", size=2, mtime_ns=2)])
    ledger_driver.register([Arrival(uri="a.dcm", size=size, mtime_ns=size)])
    assert ledger.retry(ledger_driver.database, [1], actor="ann", now=ledger_driver.clock()) == 1
    assert ledger_driver.register([Arrival(uri="a.dcm", size=3, mtime_ns=3)]) == Registered(new=0, changed=1)
    assert [(row.size, row.replaced_by) for row in ledger_driver.instances()] == [(3, None), (2, 1)]


def test_a_member_of_an_archive_keeps_its_name_there(ledger_driver: LedgerDriver) -> None:
    """The names of unpacked files are numbers."""
    batch, image = claim_one(ledger_driver, uri="disc.zip")
    arrivals = tuple(build_arrivals(2, member_name="DICOM/IM1"))
    members = Annotations(members=Members(source_id=ledger_driver.source_id, arrivals=arrivals))
    now = ledger_driver.clock.advance(seconds=9)
    ledger_driver.record(batch, [build_outcome(image, state=State.EXPANDED, annotations=members)])
    disc, *unpacked = ledger_driver.instances()
    assert disc.member_name is None
    assert [(row.member_name, row.parent_id, row.arrived_at) for row in unpacked] == [("DICOM/IM1", disc.id, now)] * 2
    assert [(row.uri, row.size, row.mtime_ns) for row in unpacked] == [
        (each.uri, 1000, each.mtime_ns) for each in arrivals
    ]
