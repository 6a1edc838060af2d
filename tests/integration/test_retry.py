"""A person retries failed and rejected images."""

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
def images_to_retry(ledger_driver: LedgerDriver, make_arrivals: MakeArrivals) -> LedgerDriver:
    """Images: 1 failed (io_error), 2 rejected (truncated), 3 failed (killed_worker), 4 done, 5 waiting."""
    for fields in (
        {"state": State.FAILED, "reason": Reason.IO_ERROR, "detail": "Reading failed."},
        {"state": State.REJECTED, "reason": Reason.TRUNCATED, "content": "b" * 64},
        {"state": State.FAILED, "reason": Reason.KILLED_WORKER},
        {"content": "a" * 64},
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


def test_a_retried_image_has_no_trace_of_its_outcome(images_to_retry: LedgerDriver) -> None:
    """The row has no value of the first outcome; the audit keeps them."""
    assert ledger.retry(images_to_retry.database, [1, 2], actor="ann", now=images_to_retry.clock()) == 2
    for image_id in (1, 2):
        row = _row(images_to_retry, image_id)
        assert (row.state, row.attempts, row.deaths, row.expiries, row.alone) == ("received", 0, 0, 0, False)
        left = (row.reason, row.detail, row.finished_at, row.not_before, row.tried_since, row.batch_id, row.bundle_id)
        assert set(left) == {None}
    with images_to_retry.database.read() as connection:
        entry = connection.execute(select(audit.c.actor, audit.c.action, audit.c.detail)).one()
    expected = {"images": [[1, "failed", "io_error", 1], [2, "rejected", "truncated", 1]]}
    assert tuple(entry) == ("ann", "images.retry", expected)


def test_retried_images_are_analysed_like_new_ones(images_to_retry: LedgerDriver) -> None:
    """The counts add up before and after, and the audit finds no violation."""
    ledger.retry(images_to_retry.database, [1, 2, 3], actor="ann", now=images_to_retry.clock())
    assert queries.tally(images_to_retry.database).waiting == 4
    images_to_retry.analyse_all()
    tally = queries.tally(images_to_retry.database)
    assert (tally.done, tally.unfinished, tally.adds_up) == (5, 0, True)


def test_an_image_that_killed_its_process_travels_alone_again(images_to_retry: LedgerDriver) -> None:
    """Other images are not marked `alone`."""
    ledger.retry(images_to_retry.database, [1, 3], actor="ann", now=images_to_retry.clock())
    assert (_row(images_to_retry, 1).alone, _row(images_to_retry, 3).alone) == (False, True)


def test_done_and_unfinished_images_are_not_retried(images_to_retry: LedgerDriver) -> None:
    """Their rows stay unchanged, and a second retry finds no image."""
    before = _row(images_to_retry, 4), _row(images_to_retry, 5)
    assert ledger.retry(images_to_retry.database, [1, 4, 5, 99], actor="ann", now=images_to_retry.clock()) == 1
    assert ledger.retry(images_to_retry.database, [1, 4, 5, 99], actor="ann", now=images_to_retry.clock()) == 0
    assert (_row(images_to_retry, 4), _row(images_to_retry, 5)) == before


def test_a_retried_image_with_known_bytes_is_a_duplicate(images_to_retry: LedgerDriver) -> None:
    """Image 2 has the bytes of image 4."""
    ledger.retry(images_to_retry.database, [2], actor="ann", now=images_to_retry.clock())
    images_to_retry.analyse_all(content="a" * 64)
    assert sorted((row.state, row.duplicate_of) for row in images_to_retry.work() if row.duplicate_of) == [
        ("duplicate", 4),
        ("duplicate", 4),
    ]


def test_a_retry_adds_no_second_result_of_a_bundle_on_trial(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, bundle_id: int
) -> None:
    """The further result of the rejected image stays."""
    frame = FramePrediction(frame=0, label="normal", score=0.5, scores=[0.5, 0.5])
    prediction = FurtherPrediction(
        bundle_id=bundle_id, shadow=True, label="normal", score=0.5, scores=[0.5, 0.5], frames=(frame,)
    )
    ledger_driver.register(make_arrivals(1))
    ledger_driver.analyse_all(state=State.REJECTED, reason=Reason.NO_MODEL, content="a" * 64, further=(prediction,))
    ledger.retry(ledger_driver.database, [1], actor="ann", now=ledger_driver.clock())
    ledger_driver.analyse_all(bundle_id=bundle_id, content="a" * 64, further=(prediction,))
    with ledger_driver.database.read() as connection:
        rows = connection.execute(select(work.c.ordinal, work.c.state).order_by(work.c.ordinal)).all()
    assert rows == [(0, "done"), (1, "done")]


def test_a_dry_run_lists_the_images_and_changes_nothing(images_to_retry: LedgerDriver) -> None:
    """The output has every reason of the images."""
    before = images_to_retry.work()
    result = _retry(images_to_retry, "--reason", "io_error", "--reason", "truncated", "--dry-run")
    assert result.exit_code == 0
    assert "io_error" in result.output
    assert "truncated" in result.output
    assert "this was a dry run" in result.output
    assert images_to_retry.work() == before


def test_json_needs_no_confirmation(images_to_retry: LedgerDriver) -> None:
    """The output has the ids that cannot be retried."""
    output = json.loads(_retry(images_to_retry, "1", "4", "99", "--json").output)
    assert (output["retried"], output["image_ids"], output["not_retriable"]) == (1, [1], [4, 99])
    assert output["reasons"] == [{"state": "failed", "reason": "io_error", "images": 1}]


def test_a_file_that_was_replaced_is_not_retried(ledger_driver: LedgerDriver, make_arrivals: MakeArrivals) -> None:
    """The newer file has its own arrival."""
    (first,) = make_arrivals(1)
    ledger_driver.register([first])
    ledger_driver.analyse_all(state=State.REJECTED, reason=Reason.TRUNCATED, content="b" * 64)
    ledger_driver.register([Arrival(uri=first.uri, size=first.size + 1, mtime_ns=first.mtime_ns + 1)])
    output = json.loads(_retry(ledger_driver, "1", "--json").output)
    assert (output["retried"], output["replaced"]) == (0, [1])


def test_a_file_that_came_back_is_retried(ledger_driver: LedgerDriver, make_arrivals: MakeArrivals) -> None:
    """It was replaced and restored with its time, so that now the later arrival is the one that was replaced."""
    (first,) = make_arrivals(1)
    second = Arrival(uri=first.uri, size=first.size + 1, mtime_ns=first.mtime_ns + 1)
    for arrival, content in ((first, "b"), (second, "c")):
        ledger_driver.register([arrival])
        ledger_driver.analyse_all(state=State.REJECTED, reason=Reason.TRUNCATED, content=content * 64)
    ledger_driver.register([first])
    output = json.loads(_retry(ledger_driver, "1", "2", "--json").output)
    assert (output["image_ids"], output["replaced"]) == ([1], [2])


def test_of_a_touched_file_only_the_newest_arrival_is_retried(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals
) -> None:
    """The file no longer has the time of the earlier one, which could only become `still_changing`."""
    (first,) = make_arrivals(1)
    for mtime_ns in (1, 2):
        ledger_driver.register([Arrival(uri=first.uri, size=first.size, mtime_ns=mtime_ns)])
        ledger_driver.analyse_all(state=State.REJECTED, reason=Reason.TRUNCATED, content="b" * 64)
    output = json.loads(_retry(ledger_driver, "1", "2", "--json").output)
    assert (output["image_ids"], output["replaced"]) == ([2], [1])


@pytest.mark.parametrize(
    ("arguments", "chosen"),
    [(["--failed"], [1, 3]), (["--failed", "--until", "2026-11-01"], []), (["2", "--failed"], [])],
)
def test_all_conditions_must_hold(images_to_retry: LedgerDriver, arguments: list[str], chosen: list[int]) -> None:
    """The conditions are those of `nightread query`."""
    assert json.loads(_retry(images_to_retry, *arguments, "--dry-run", "--json").output)["image_ids"] == chosen


def test_a_retry_without_conditions_is_refused(images_to_retry: LedgerDriver) -> None:
    """All images are retried only on explicit request."""
    url = images_to_retry.database.writer.url.render_as_string(hide_password=False)
    result = CliRunner().invoke(cli, ["retry", "--database-url", url])
    assert result.exception is not None
    assert "Name the images" in str(result.exception)
