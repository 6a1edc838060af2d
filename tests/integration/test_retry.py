"""A person says: try those again."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result
from ledger_driver import LedgerDriver
from sqlalchemy import select

from cli.main import cli
from db import ledger, queries
from db.ledger import Arrival, FramePrediction, FurtherPrediction
from db.tables import State, audit, work
from nightread.reasons import Reason

MakeArrivals = Callable[..., list[Arrival]]


@pytest.fixture
def broken_evening(ledger_driver: LedgerDriver, make_arrivals: MakeArrivals) -> LedgerDriver:
    """1 failed (io_error), 2 rejected (truncated), 3 failed (killed_worker), 4 done, 5 waiting."""
    for fields in (
        {"state": State.FAILED, "reason": Reason.IO_ERROR, "detail": "Reading failed."},
        {"state": State.REJECTED, "reason": Reason.TRUNCATED, "sha256": "b" * 64},
        {"state": State.FAILED, "reason": Reason.KILLED_WORKER},
        {"sha256": "a" * 64},
    ):
        ledger_driver.register(make_arrivals(1))
        ledger_driver.analyse_all(**fields)
    ledger_driver.register(make_arrivals(1))
    return ledger_driver


def _retry(ledger_driver: LedgerDriver, *arguments: str) -> Result:
    url = ledger_driver.database.writer.url.render_as_string(hide_password=False)
    return CliRunner().invoke(cli, ["retry", *arguments, "--database-url", url], catch_exceptions=False)


def _row(ledger_driver: LedgerDriver, image_id: int) -> Any:
    return next(row for row in ledger_driver.work() if row.instance_id == image_id and row.ordinal == 0)


def test_it_is_as_if_nobody_had_tried(broken_evening: LedgerDriver) -> None:
    """Nothing of the first outcome is left in the row; the audit keeps what was there."""
    assert ledger.retry(broken_evening.database, [1, 2], actor="ann", now=broken_evening.clock()) == 2
    for image_id in (1, 2):
        row = _row(broken_evening, image_id)
        assert (row.state, row.attempts, row.deaths, row.expiries, row.alone) == ("received", 0, 0, 0, False)
        left = (row.reason, row.detail, row.finished_at, row.not_before, row.tried_since, row.batch_id, row.bundle_id)
        assert set(left) == {None}
    with broken_evening.database.read() as connection:
        said = connection.execute(select(audit.c.actor, audit.c.action, audit.c.detail)).one()
    expected = {"images": [[1, "failed", "io_error", 1], [2, "rejected", "truncated", 1]]}
    assert tuple(said) == ("ann", "images.retry", expected)


def test_they_are_analysed_like_new_ones(broken_evening: LedgerDriver) -> None:
    """The counts add up before and after, and the audit finds nothing."""
    ledger.retry(broken_evening.database, [1, 2, 3], actor="ann", now=broken_evening.clock())
    assert queries.tally(broken_evening.database).waiting == 4
    broken_evening.analyse_all()
    tally = queries.tally(broken_evening.database)
    assert (tally.done, tally.unfinished, tally.adds_up) == (5, 0, True)


def test_what_killed_its_process_goes_on_to_travel_alone(broken_evening: LedgerDriver) -> None:
    """Its neighbours have done nothing."""
    ledger.retry(broken_evening.database, [1, 3], actor="ann", now=broken_evening.clock())
    assert (_row(broken_evening, 1).alone, _row(broken_evening, 3).alone) == (False, True)


def test_what_is_done_or_under_way_is_left_alone(broken_evening: LedgerDriver) -> None:
    """A result is not thrown away, and a second retry finds nothing."""
    before = _row(broken_evening, 4), _row(broken_evening, 5)
    assert ledger.retry(broken_evening.database, [1, 4, 5, 99], actor="ann", now=broken_evening.clock()) == 1
    assert ledger.retry(broken_evening.database, [1, 4, 5, 99], actor="ann", now=broken_evening.clock()) == 0
    assert (_row(broken_evening, 4), _row(broken_evening, 5)) == before


def test_a_copy_that_is_done_meanwhile_makes_it_a_duplicate(broken_evening: LedgerDriver) -> None:
    """Image 2 turns out to have the bytes of image 4."""
    ledger.retry(broken_evening.database, [2], actor="ann", now=broken_evening.clock())
    broken_evening.analyse_all(sha256="a" * 64)
    assert sorted((row.state, row.duplicate_of) for row in broken_evening.work() if row.duplicate_of) == [
        ("duplicate", 4),
        ("duplicate", 4),
    ]


def test_a_network_on_trial_says_the_same_thing_once(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, bundle_id: int
) -> None:
    """The answer beside a rejected image stays; the retry adds no second one."""
    frame = FramePrediction(frame=0, label="normal", score=0.5, scores=[0.5, 0.5])
    said = FurtherPrediction(
        bundle_id=bundle_id, shadow=True, label="normal", score=0.5, scores=[0.5, 0.5], frames=(frame,)
    )
    ledger_driver.register(make_arrivals(1))
    ledger_driver.analyse_all(state=State.REJECTED, reason=Reason.NO_MODEL, sha256="a" * 64, further=(said,))
    ledger.retry(ledger_driver.database, [1], actor="ann", now=ledger_driver.clock())
    ledger_driver.analyse_all(bundle_id=bundle_id, sha256="a" * 64, further=(said,))
    with ledger_driver.database.read() as connection:
        rows = connection.execute(select(work.c.ordinal, work.c.state).order_by(work.c.ordinal)).all()
    assert rows == [(0, "done"), (1, "done")]


def test_a_dry_run_tells_and_changes_nothing(broken_evening: LedgerDriver) -> None:
    """By reason, for all that failed or were rejected so."""
    before = broken_evening.work()
    result = _retry(broken_evening, "--reason", "io_error", "--reason", "truncated", "--dry-run")
    assert result.exit_code == 0
    assert "io_error" in result.output
    assert "truncated" in result.output
    assert "this was a dry run" in result.output
    assert broken_evening.work() == before


def test_programs_get_json_and_are_not_asked(broken_evening: LedgerDriver) -> None:
    """Ids that cannot be retried are named."""
    told = json.loads(_retry(broken_evening, "1", "4", "99", "--json").output)
    assert (told["retried"], told["image_ids"], told["not_retriable"]) == (1, [1], [4, 99])
    assert told["reasons"] == [{"state": "failed", "reason": "io_error", "images": 1}]


def test_a_file_that_was_replaced_is_not_tried_for_its_old_bytes(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals
) -> None:
    """The newer file has an arrival of its own."""
    (first,) = make_arrivals(1)
    ledger_driver.register([first])
    ledger_driver.analyse_all(state=State.REJECTED, reason=Reason.TRUNCATED, sha256="b" * 64)
    ledger_driver.register([Arrival(uri=first.uri, size=first.size + 1, mtime_ns=first.mtime_ns + 1)])
    told = json.loads(_retry(ledger_driver, "1", "--json").output)
    assert (told["retried"], told["replaced"]) == (0, [1])


@pytest.mark.parametrize(
    ("arguments", "chosen"),
    [(["--failed"], [1, 3]), (["--failed", "--until", "2026-11-01"], []), (["2", "--failed"], [])],
)
def test_conditions_hold_all_at_once(broken_evening: LedgerDriver, arguments: list[str], chosen: list[int]) -> None:
    """As in `nightread query`."""
    assert json.loads(_retry(broken_evening, *arguments, "--dry-run", "--json").output)["image_ids"] == chosen


def test_everything_at_once_has_to_be_said(broken_evening: LedgerDriver) -> None:
    """A bare `nightread retry` is a mistake, not a wish."""
    url = broken_evening.database.writer.url.render_as_string(hide_password=False)
    result = CliRunner().invoke(cli, ["retry", "--database-url", url])
    assert result.exception is not None
    assert "Name the images" in str(result.exception)
