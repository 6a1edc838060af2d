"""Rule 8: processes that record at the same time write their own images side by side, and settle the rest in turns."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from threading import Event
from typing import Any

import pytest
from ledger_driver import LedgerDriver, build_arrivals, build_outcome
from sqlalchemy import Connection, event

from db import ledger, queries
from db.engine import open_database
from db.ledger import Annotations, Withdrawal
from db.tables import State
from imaging.facts import Facts
from nightread.reasons import Reason

_FACTS = Facts(sop_instance_uid="1.2.3", series_instance_uid="1.2", study_instance_uid="1.1", patient_key="p" * 64)


@pytest.fixture
def other(ledger_driver: LedgerDriver) -> Iterator[LedgerDriver]:
    """The same ledger on PostgreSQL, used by another process; SQLite has one writer."""
    if ledger_driver.database.is_sqlite:
        pytest.skip("SQLite has one writer")
    database = open_database(ledger_driver.database.writer.url.render_as_string(hide_password=False))
    yield replace(ledger_driver, database=database, process=replace(ledger_driver.process, index=1))
    database.close()


@pytest.mark.parametrize("newer_first", [True, False])
def test_two_versions_of_an_image_leave_the_newer_one_current(
    ledger_driver: LedgerDriver, other: LedgerDriver, newer_first: bool
) -> None:
    """The process that waited sees the version that the other one has committed meanwhile."""
    older, newer = _two_batches(ledger_driver, other)
    waits, commits = (newer, older) if newer_first else (older, newer)

    with _before_other_images(waits.driver) as during:
        counts = during(lambda: waits.record(facts=_FACTS), lambda: commits.record(facts=_FACTS))

    assert counts == ({"done": 1}, {"done": 1})
    assert [row.superseded_by for row in ledger_driver.instances()] == [2, None]


@pytest.mark.parametrize("note_first", [True, False])
def test_an_image_and_the_note_that_rejects_it_meet(
    ledger_driver: LedgerDriver, other: LedgerDriver, note_first: bool
) -> None:
    """The image is withdrawn, whichever of the two is committed first."""
    image, note = _two_batches(ledger_driver, other)
    withdrawal = Withdrawal(study_instance_uid="1.1", code="113001", sop_instance_uids=("1.2.3",))
    rejection = {
        "state": State.REJECTED,
        "reason": Reason.KEY_OBJECT,
        "content": "e" * 64,
        "annotations": Annotations(withdrawal=withdrawal),
    }
    calls = [(image.driver, lambda: image.record(facts=_FACTS)), (note.driver, lambda: note.record(**rejection))]
    (_, commits), (driver, waits) = reversed(calls) if note_first else calls

    with _before_other_images(driver) as during:
        during(waits, commits)

    assert [row.withdrawn_by for row in ledger_driver.instances()] == [2, None]


def test_recorders_of_one_study_do_not_wait_for_each_others_rows(
    ledger_driver: LedgerDriver, other: LedgerDriver
) -> None:
    """One commits a whole batch of the study while the other one has written its rows and not yet committed."""
    first, second = _two_batches(ledger_driver, other)

    with _before_other_images(first.driver) as during:
        during(
            lambda: first.record(facts=_FACTS),
            lambda: second.record(facts=_FACTS._replace(sop_instance_uid="1.2.4")),
        )

    assert ledger_driver.states() == [State.DONE, State.DONE]
    assert [row.superseded_by for row in ledger_driver.instances()] == [None, None]
    assert list(queries.violations(ledger_driver.database)) == []


def test_no_result_is_recorded_after_a_patient_opted_out(ledger_driver: LedgerDriver, other: LedgerDriver) -> None:
    """The opt-out waits for the outcome that is being written, and the next one is refused."""
    first, second = _two_batches(ledger_driver, other)

    with ThreadPoolExecutor(1) as pool, _before_other_images(first.driver) as during:
        opted_out = []

        def opt_out() -> None:
            opted_out.append(
                pool.submit(
                    ledger.add_opt_out,
                    other.database,
                    ["p" * 64],
                    number_key=None,
                    key_id="k",
                    actor="ann",
                    now=other.clock(),
                )
            )

        during(lambda: first.record(facts=_FACTS), opt_out)
        assert opted_out[0].result(60) == 1

    assert second.record(facts=_FACTS._replace(sop_instance_uid="1.2.4")) == {"rejected": 1}
    assert ledger_driver.states() == [State.DONE, State.REJECTED]


class _Claimed:
    """A batch of one image that a process has claimed."""

    def __init__(self, driver: LedgerDriver, batch: ledger.Batch) -> None:
        self.driver, self._batch = driver, batch
        (self._image,) = driver.claim(batch)

    def record(self, **fields: object) -> Any:
        return self.driver.record(self._batch, [build_outcome(self._image, **fields)])


def _two_batches(ledger_driver: LedgerDriver, other: LedgerDriver) -> tuple[_Claimed, _Claimed]:
    ledger_driver.register(build_arrivals(2))
    one, two = ledger_driver.form(images=1)
    return _Claimed(ledger_driver, one), _Claimed(other, two)


@contextmanager
def _before_other_images(driver: LedgerDriver) -> Iterator[Callable[..., tuple[Any, Any]]]:
    """Yield `during(first, second)`: it runs `second` while `first` has written its rows and locks nothing more yet."""
    reached, proceed = Event(), Event()

    def pause(_connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        if "pg_advisory_xact_lock(" in statement:
            reached.set()
            proceed.wait(60)

    def during(first: Callable[[], Any], second: Callable[[], Any]) -> tuple[Any, Any]:
        with ThreadPoolExecutor(1) as pool:
            paused = pool.submit(first)
            assert reached.wait(60)
            try:
                meanwhile = second()
            finally:
                proceed.set()
            return paused.result(60), meanwhile

    event.listen(driver.database.writer, "before_cursor_execute", pause)
    yield during
    event.remove(driver.database.writer, "before_cursor_execute", pause)
