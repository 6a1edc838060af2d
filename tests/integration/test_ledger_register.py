"""Each arrival is registered once, with its first row of work."""

from dataclasses import replace

import pytest
from ledger_driver import LedgerDriver, build_arrivals, build_outcome
from sqlalchemy import update

from db import ledger
from db.ledger import Registered
from db.tables import State, work
from nightread.reasons import Reason


def test_each_arrival_gets_one_row_of_work(ledger_driver: LedgerDriver) -> None:
    """Three files are three instances, each with a received first row of work."""
    assert ledger_driver.register(build_arrivals(3), priority=2) == Registered(new=3, changed=0)

    assert [(row.state, row.ordinal, row.priority, row.attempts) for row in ledger_driver.work()] == [
        (State.RECEIVED, 0, 2, 0)
    ] * 3
    assert [row.instance_id for row in ledger_driver.work()] == [row.id for row in ledger_driver.instances()]


def test_a_restart_registers_nothing_twice(ledger_driver: LedgerDriver) -> None:
    """Known files are not new, whether they are waiting or done."""
    arrivals = build_arrivals(3)
    ledger_driver.register(arrivals)
    assert ledger_driver.register(arrivals) == Registered(new=0, changed=0)
    ledger_driver.analyse_all()

    assert ledger_driver.register([*arrivals, *build_arrivals(1)]) == Registered(new=1, changed=0)
    assert ledger_driver.states() == [State.DONE] * 3 + [State.RECEIVED]


def test_one_place_named_twice_is_one_arrival(ledger_driver: LedgerDriver) -> None:
    """If a call has a path twice, it is registered once, with its last size and time."""
    (arrival,) = build_arrivals(1)

    assert ledger_driver.register([arrival, replace(arrival, size=5)]).new == 1
    assert [row.size for row in ledger_driver.instances()] == [5]


def test_the_same_path_in_two_sources_is_two_arrivals(ledger_driver: LedgerDriver) -> None:
    """A source and a path together identify a place."""
    arrivals = build_arrivals(1)
    ledger_driver.register(arrivals)
    ledger_driver.source_id = ledger.ensure_source(
        ledger_driver.database, name="archive", kind="folder", root="/archive", now=ledger_driver.clock()
    )

    assert ledger_driver.register(arrivals).new == 1


def test_a_changed_file_updates_its_waiting_row(ledger_driver: LedgerDriver) -> None:
    """If the older bytes were not read, there is only one arrival."""
    (arrival,) = build_arrivals(1)
    ledger_driver.register([arrival])

    assert ledger_driver.register([replace(arrival, size=2000)]) == Registered(new=0, changed=1)
    assert [row.size for row in ledger_driver.instances()] == [2000]
    assert ledger_driver.states() == [State.RECEIVED]


def test_a_changed_file_is_taken_back_from_the_process_that_holds_it(ledger_driver: LedgerDriver) -> None:
    """An outcome of the older bytes, even one without size, is not recorded for the newer ones."""
    (arrival,) = build_arrivals(1)
    ledger_driver.register([arrival])
    (batch,) = ledger_driver.form()
    (image,) = ledger_driver.claim(batch)

    assert ledger_driver.register([replace(arrival, size=2000)]).changed == 1
    late = build_outcome(image, state=State.REJECTED, reason=Reason.TIMEOUT, size=None, mtime_ns=None)
    assert ledger_driver.record(batch, [late]) == {}

    assert [(row.state, row.attempts, row.batch_id) for row in ledger_driver.work()] == [(State.RECEIVED, 0, None)]
    assert ledger_driver.analyse_all() == {"done": 1}


def test_a_file_that_changed_after_its_outcome_is_a_new_arrival(ledger_driver: LedgerDriver) -> None:
    """The outcome of the older bytes stays unchanged."""
    (arrival,) = build_arrivals(1)
    ledger_driver.register([arrival])
    ledger_driver.analyse_all()

    assert ledger_driver.register([replace(arrival, mtime_ns=7)]) == Registered(new=1, changed=0)
    assert ledger_driver.states() == [State.DONE, State.RECEIVED]


def test_an_outcome_of_other_bytes_than_registered_is_not_recorded(ledger_driver: LedgerDriver) -> None:
    """If its size differs from that of the arrival, the image is received as still_changing."""
    ledger_driver.register(build_arrivals(2))
    (batch,) = ledger_driver.form()
    first, second = ledger_driver.claim(batch)

    counts = ledger_driver.record(batch, [build_outcome(first, size=first.size + 1), build_outcome(second)])

    assert counts == {"received": 1, "done": 1}
    changed, _ = ledger_driver.work()
    assert (changed.state, changed.reason, changed.score) == (State.RECEIVED, Reason.STILL_CHANGING, None)
    assert ledger_driver.predicted() == [second.work_id]
    assert ledger_driver.instances()[0].content is None


def test_a_retry_may_store_the_new_size_of_a_file(ledger_driver: LedgerDriver) -> None:
    """A worker that finds a changed file returns it with its new size, also if the file is empty."""
    ledger_driver.register(build_arrivals(1))
    ledger_driver.analyse_all(state=State.RECEIVED, reason=Reason.STILL_CHANGING, size=0, mtime_ns=99)

    assert [(row.size, row.mtime_ns) for row in ledger_driver.instances()] == [(0, 99)]
    assert ledger_driver.analyse_all() == {"done": 1}


def test_paths_of_twelve_thousand_characters_are_distinguished(ledger_driver: LedgerDriver) -> None:
    """Long paths that differ only in their last character are two arrivals and are known afterwards."""
    arrivals = [*build_arrivals(1, uri="d/" * 6000 + "a"), *build_arrivals(1, uri="d/" * 6000 + "b")]

    assert ledger_driver.register(arrivals).new == 2
    assert ledger_driver.register(arrivals) == Registered(new=0, changed=0)
    assert [image.uri for batch in ledger_driver.form() for image in ledger_driver.claim(batch)] == [
        a.uri for a in arrivals
    ]


def test_a_source_with_a_new_root_keeps_its_id(ledger_driver: LedgerDriver) -> None:
    """Claims have the new root."""
    moved = ledger.ensure_source(
        ledger_driver.database, name="inbox", kind="folder", root="/elsewhere", now=ledger_driver.clock()
    )
    assert moved == ledger_driver.source_id

    ledger_driver.register(build_arrivals(1))
    (batch,) = ledger_driver.form()
    (image,) = ledger_driver.claim(batch)
    assert (image.source, image.root) == ("inbox", "/elsewhere")


@pytest.mark.parametrize("state", [State.DUPLICATE, State.REJECTED, State.FAILED, State.EXPANDED])
def test_a_changed_file_is_new_after_every_final_state(ledger_driver: LedgerDriver, state: State) -> None:
    """Newer bytes are analysed, whatever the outcome of the older ones was."""
    (arrival,) = build_arrivals(1)
    ledger_driver.register([arrival])
    with ledger_driver.database.writer.begin() as connection:
        connection.execute(update(work).values(state=state, finished_at=ledger_driver.clock()))

    assert ledger_driver.register([replace(arrival, size=9)]).new == 1
