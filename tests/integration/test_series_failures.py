"""A series that cannot be formed is tried a bounded number of times; then it fails, and its slices do not wait."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from ledger_driver import LedgerDriver
from series_driver import SERIES, STUDY, SeriesDriver
from sqlalchemy import update

from cli.main import cli
from db import ledger, queries
from db.ledger import SERIES_ATTEMPTS
from db.tables import State, instances
from nightread.reasons import Reason

WAITS: dict[str, Any] = {"state": State.RECEIVED, "reason": Reason.AWAITING_SERIES, "uncounted": True}


@pytest.fixture
def series_driver(ledger_driver: LedgerDriver, tmp_path: Path) -> SeriesDriver:
    """A driver whose bundle takes the most suspicious slice."""
    return SeriesDriver(ledger_driver=ledger_driver, folder=tmp_path)


@pytest.fixture
def breaks(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Let putting in order and computing results fail from now on, or work again."""

    def set_broken(broken: bool) -> None:
        monkeypatch.undo()
        for name in ("order_to_store", "series_results") if broken else ():
            monkeypatch.setattr(f"worker.series.form.{name}", _raise)

    return set_broken


def _raise(*_: object) -> None:
    raise ZeroDivisionError("a fault of the program")


def _record_waiting(series_driver: SeriesDriver, places: list[float], **fields: Any) -> list[int]:
    """Record slices that wait for the order of their series."""
    later = series_driver.ledger_driver.clock() + timedelta(minutes=5)
    number = len(series_driver.ledger_driver.instances())
    ids: list[int] = []
    for index, place in enumerate(places):
        content = f"{number + index:064x}"
        ids += series_driver.record([place], content=content, not_before=later, **WAITS, **fields)
    return ids


def _ask_again(series_driver: SeriesDriver) -> None:
    """Read the waiting slices again, as a worker does after five minutes: their series let none of them go."""
    driver = series_driver.ledger_driver
    driver.clock.advance(seconds=301)
    later = driver.clock() + timedelta(minutes=5)
    for batch in driver.form():
        outcomes = [
            series_driver.outcome(
                each,
                5.0 * each.instance_id,
                0.1,
                series=SERIES,
                study=STUDY,
                content=f"{each.instance_id:064x}",
                not_before=later,
                **WAITS,
            )
            for each in driver.claim(batch)
        ]
        driver.record(batch, outcomes)


def _kill_all_attempts(series_driver: SeriesDriver) -> datetime:
    """Let the process that forms the series die each time; return when its last lease expired."""
    driver = series_driver.ledger_driver
    ledger.mark_all_due(driver.database)
    for _ in range(SERIES_ATTEMPTS):
        lease = timedelta(seconds=60)
        assert ledger.claim_series(driver.database, most=9, lease=lease, now=driver.clock())
        assert ledger.return_expired_series(driver.database, now=driver.clock.advance(seconds=61)) == 1
    return driver.clock()


def _run(series_driver: SeriesDriver, *arguments: str) -> Result:
    url = series_driver.ledger_driver.database.writer.url.render_as_string(hide_password=False)
    return CliRunner().invoke(cli, [*arguments, "--database-url", url], catch_exceptions=False)


def test_a_series_that_always_fails_ends_with_its_slices(
    series_driver: SeriesDriver, breaks: Callable[[bool], None]
) -> None:
    """The third attempt is the last one. Nothing waits in silence: slices and series have a reason."""
    driver = series_driver.ledger_driver
    breaks(True)
    _record_waiting(series_driver, [0, 5])
    for _ in range(SERIES_ATTEMPTS - 1):
        (meanwhile,) = series_driver.form()
        assert (meanwhile.series_state, meanwhile.reason) == ("collecting", None)
        assert driver.states() == ["received"] * 2
    (failed,) = series_driver.form()
    assert (failed.series_state, failed.reason) == ("failed", "series_not_formed")
    assert failed.detail == "Forming the series failed in 3 attempts (ZeroDivisionError); see the worker's log."
    assert [(row.state, row.reason) for row in driver.work()] == [("failed", "series_not_formed")] * 2
    assert queries.series_counts(driver.database) == queries.SeriesCounts(unformed=0, failed=1, waiting_slices=0)
    assert list(queries.violations(driver.database)) == []


def test_an_attempt_that_failed_is_followed_by_a_pause(
    series_driver: SeriesDriver, breaks: Callable[[bool], None]
) -> None:
    """The series becomes quiet again first, in case the fault passes."""
    driver = series_driver.ledger_driver
    breaks(True)
    series_driver.record([0, 5])
    at = driver.clock.advance(seconds=600)
    (meanwhile,) = series_driver.form()
    assert (meanwhile.series_state, meanwhile.changed_at) == ("collecting", at)
    breaks(False)
    (result,) = series_driver.form()
    assert (result.series_state, result.label) == ("formed", "clear")


def test_a_slice_that_was_being_read_meanwhile_costs_one_more_attempt(
    series_driver: SeriesDriver, breaks: Callable[[bool], None]
) -> None:
    """It asks again when the series has failed; the attempts go on counting, and it gets an outcome too."""
    driver = series_driver.ledger_driver
    breaks(True)
    _record_waiting(series_driver, [0])
    series_driver.form()
    series_driver.form()
    driver.clock.advance(seconds=301)
    (batch,) = driver.form()
    (claimed,) = driver.claim(batch)
    series_driver.form()
    later, content = driver.clock() + timedelta(minutes=5), f"{0:064x}"
    held = series_driver.outcome(
        claimed, 0, 0.1, series=SERIES, study=STUDY, content=content, not_before=later, **WAITS
    )
    driver.record(batch, [held])
    assert [each.series_state for each in series_driver.results()] == ["collecting"]
    assert [each.series_state for each in series_driver.form()] == ["failed"]
    assert [(row.state, row.reason) for row in driver.work()] == [("failed", "series_not_formed")]


def test_a_series_that_kills_its_processes_fails_with_its_slices(series_driver: SeriesDriver) -> None:
    """The detail says so."""
    driver = series_driver.ledger_driver
    _record_waiting(series_driver, [0, 5])
    _kill_all_attempts(series_driver)
    (failed,) = series_driver.results()
    assert (failed.series_state, failed.reason) == ("failed", "killed_worker")
    assert failed.detail == "The worker process died in 3 of 3 attempts to form the series."
    assert [row.reason for row in driver.work()] == ["series_not_formed"] * 2


def test_a_retry_of_a_series_takes_its_slices_up_again(series_driver: SeriesDriver) -> None:
    """The reasons of series and slices differ: a series without its slices would be formed without a result."""
    driver = series_driver.ledger_driver
    _record_waiting(series_driver, [0, 5])
    last = _kill_all_attempts(series_driver)
    assert [each.changed_at for each in series_driver.results()] == [last]

    assert "1 series" in _run(series_driver, "retry", "--reason", "killed_worker", "--yes").stdout
    series_driver.form()

    assert [(row.state, row.reason) for row in driver.work()] == [("received", None)] * 2
    assert list(queries.violations(driver.database)) == []


def test_a_cancelled_slice_is_not_waited_for(series_driver: SeriesDriver) -> None:
    """The series had a partial result without it, which is formed again."""
    driver = series_driver.ledger_driver
    series_driver.record([0, 5])
    retried = {"state": State.RECEIVED, "reason": Reason.IO_ERROR, "not_before": driver.clock() + timedelta(hours=1)}
    (waiting,) = series_driver.record([10], content="c" * 64, **retried)
    (before,) = series_driver.form()
    assert (before.slices, before.of_slices, before.partial) == (2, 3, True)

    assert ledger.cancel(driver.database, [waiting], actor="ann", now=driver.clock()) == [waiting]
    (after,) = series_driver.form()

    assert (after.slices, after.of_slices, after.partial) == (2, 2, False)
    assert list(queries.violations(driver.database)) == []


def test_a_retry_of_the_slices_takes_the_series_up_again(
    series_driver: SeriesDriver, breaks: Callable[[bool], None]
) -> None:
    """With all attempts; the slices are put in order as if they had come now."""
    driver = series_driver.ledger_driver
    breaks(True)
    ids = _record_waiting(series_driver, [5, 0])
    for _ in range(SERIES_ATTEMPTS):
        series_driver.form()
    breaks(False)
    result = _run(series_driver, "retry", "--reason", "series_not_formed", "--yes")
    assert "2 images are waiting to be analysed" in result.stdout
    assert [each.series_state for each in series_driver.results()] == ["collecting"]
    _ask_again(series_driver)
    assert queries.waiting_slices(driver.database) == 2
    assert [each.series_state for each in series_driver.form()] == ["formed"]
    (stack,) = queries.series_order(driver.database, STUDY, SERIES).stacks
    assert {key for key, _ in stack} == set(ids)
    assert driver.states() == ["received"] * 2
    assert queries.waiting_slices(driver.database) == 0


def test_status_and_query_show_a_series_that_failed_and_retry_forms_it(
    series_driver: SeriesDriver, breaks: Callable[[bool], None]
) -> None:
    """Its slices have results; only the series is formed again."""
    breaks(True)
    series_driver.record([0, 5])
    for _ in range(SERIES_ATTEMPTS):
        series_driver.form()
    breaks(False)
    assert "Series that could not be formed: 1" in " ".join(_run(series_driver, "status").stdout.split())
    (listed,) = json.loads(_run(series_driver, "query", "--series", "--format", "json").stdout)
    assert (listed["series_state"], listed["reason"], listed["state"]) == ("failed", "series_not_formed", None)
    assert "series_not_formed" in _run(series_driver, "query", "--series").stdout
    dry = _run(series_driver, "retry", "--failed", "--dry-run").stdout
    assert "1 series without a result will be formed again." in dry
    assert json.loads(_run(series_driver, "retry", "--reason", "io_error", "--json").stdout)["series"] == 0
    done = json.loads(_run(series_driver, "retry", "--failed", "--json").stdout)
    assert (done["series"], done["series_retried"], done["retried"]) == (1, 1, 0)
    assert [each.series_state for each in series_driver.form()] == ["formed"]


def test_a_slice_that_was_superseded_while_it_waited_is_let_go(series_driver: SeriesDriver) -> None:
    """So is one without a place: both are left out of the order, and do not ask for ever."""
    driver = series_driver.ledger_driver
    old, new = _record_waiting(series_driver, [0, 5])
    (nowhere,) = _record_waiting(series_driver, [0], facts={"geometry": None})
    with driver.database.writer.begin() as connection:
        connection.execute(update(instances).where(instances.c.id == old).values(superseded_by=new))
    series_driver.form()
    order = queries.series_order(driver.database, STUDY, SERIES)
    assert order.stacks == [[(new, 0)]]
    assert order.left_out == {old: "superseded_or_withdrawn", nowhere: "no_geometry"}
    assert queries.waiting_slices(driver.database) == 0


def test_a_second_study_with_the_same_series_uid_has_its_own_result(series_driver: SeriesDriver) -> None:
    """A late slice of one study changes nothing of the other one."""
    series_driver.record([0, 5], [0.1, 0.1])
    series_driver.record([0, 5, 10], [0.1, 0.9, 0.1], study="1.2.9")
    found = {each.study_instance_uid: (each.label, each.coverage) for each in series_driver.form()}
    assert found == {STUDY: ("clear", "2 of 2"), "1.2.9": ("nodule", "3 of 3")}
    series_driver.record([10], study="1.2.9")
    states = {each.study_instance_uid: each.series_state for each in series_driver.results()}
    assert states == {STUDY: "formed", "1.2.9": "collecting"}
    series_driver.record([10], state=State.FAILED, reason=Reason.TIMEOUT, content="b" * 64)
    states = {each.study_instance_uid: each.series_state for each in series_driver.results()}
    assert states[STUDY] == "collecting"
    places = queries.places_of(series_driver.ledger_driver.database, SERIES)
    assert sorted(study for study, *_ in places) == [STUDY, "1.2.9"]


def test_a_purge_of_one_study_leaves_the_series_of_another_one(series_driver: SeriesDriver) -> None:
    """Although it has the same Series Instance UID."""
    driver = series_driver.ledger_driver
    ids = series_driver.record([0, 5])
    series_driver.record([0, 5], study="1.2.9")
    series_driver.form()
    ledger.purge(driver.database, ids, cause="image", actor="ann", now=driver.clock())
    assert [each.study_instance_uid for each in series_driver.results()] == ["1.2.9"]


def test_an_opt_out_between_the_readings_removes_the_series(series_driver: SeriesDriver) -> None:
    """Its slices were read once, and are rejected when they are read again: nothing of their header stays."""
    driver = series_driver.ledger_driver
    patient = {"facts": {"patient_key": "p" * 64}}
    _record_waiting(series_driver, [0, 5], **patient)
    series_driver.record([0], series="1.2.3.5")
    series_driver.form()
    ledger.add_opt_out(driver.database, ["p" * 64], number_key=None, key_id="k", actor="ann", now=driver.clock())
    (batch,) = driver.form()
    outcomes = [ledger.opted_out(each.work_id, each.instance_id) for each in driver.claim(batch)]
    driver.record(batch, outcomes)
    assert [each.series_instance_uid for each in series_driver.results()] == ["1.2.3.5"]
    assert [row.reason for row in driver.work()] == ["opted_out", "opted_out", None]
    assert list(queries.violations(driver.database)) == []
