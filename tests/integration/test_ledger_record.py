"""Rules 3 and 9: outcomes are recorded in one transaction, also with values that no column accepts."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from ledger_driver import LedgerDriver, build_arrivals, build_outcome
from sqlalchemy import select

from db.ledger import FramePrediction, FurtherPrediction, Outcome
from db.tables import State, batches, predictions
from imaging.facts import Facts
from nightread.reasons import Reason

UNSTORABLE: dict[str, Callable[[Outcome], Outcome]] = {
    "lone surrogate in the label": lambda o: o._replace(label="\ud800"),
    "integer beyond 64 bits": lambda o: o._replace(facts=Facts(rows=2**70)),
    "bundle that does not exist": lambda o: o._replace(bundle_id=999_999),
    "the same frame twice": lambda o: o._replace(frames=o.frames * 2),
}
POSTGRESQL_REFUSES: dict[str, Callable[[Outcome], Outcome]] = {
    "NUL in a header fact": lambda o: o._replace(facts=Facts(body_part="CHE\x00ST")),
    "integer beyond its column": lambda o: o._replace(facts=Facts(rows=2**31)),
    "text beyond its column": lambda o: o._replace(label="x" * 101),
    "NaN among the scores": lambda o: o._replace(scores=[float("nan")]),
}


def test_an_outcome_is_recorded_in_one_commit(ledger_driver: LedgerDriver, bundle_id: int) -> None:
    """Rule 3: the commit has state, facts, predictions by frame and the figures of the batch."""
    ledger_driver.register(build_arrivals(1))
    (batch,) = ledger_driver.form()
    (image,) = ledger_driver.claim(batch)
    frames = tuple(FramePrediction(frame=i, label="nodule", score=0.9, scores=[0.1, 0.9]) for i in range(3))
    facts = Facts(modality="CR", rows=2048, columns=1024, frames=3, series_instance_uid="1.2")

    ledger_driver.clock.advance(seconds=5)
    counts = ledger_driver.record(
        batch, [build_outcome(image, bundle_id=bundle_id, frames=frames, facts=facts, label="nodule")]
    )

    assert counts == {"done": 1}
    (row,), (instance,) = ledger_driver.work(), ledger_driver.instances()
    assert (row.state, row.label, row.bundle_id, row.finished_at) == (
        State.DONE,
        "nodule",
        bundle_id,
        ledger_driver.clock(),
    )
    assert (row.lease_until, row.reason, row.batch_id) == (None, None, batch.id)
    assert (instance.modality, instance.rows, instance.columns, instance.frames) == ("CR", 2048, 1024, 3)
    with ledger_driver.database.read() as connection:
        assert connection.execute(select(predictions.c.frame, predictions.c.scores)).all() == [
            (0, [0.1, 0.9]),
            (1, [0.1, 0.9]),
            (2, [0.1, 0.9]),
        ]
        closed = connection.execute(select(batches)).one()
    assert (closed.finished_at, closed.seconds, closed.outcomes, closed.release) == (
        ledger_driver.clock(),
        {"read": 0.5},
        {"done": 1},
        "test",
    )


@pytest.mark.parametrize("state", [State.REJECTED, State.FAILED])
def test_predictions_belong_to_done_images(ledger_driver: LedgerDriver, state: State) -> None:
    """An image without a result gets no predictions, even if a worker passes some."""
    ledger_driver.register(build_arrivals(1))
    frames = (FramePrediction(frame=0, label="x", score=1.0, scores=[1.0]),)

    assert ledger_driver.analyse_all(state=state, reason=Reason.BAD_PIXELS, frames=frames) == {state.value: 1}
    assert ledger_driver.predicted() == []


def test_an_image_to_be_tried_again_goes_back_with_its_reason(ledger_driver: LedgerDriver) -> None:
    """It is received and not finished; its next claim clears the reason and counts a further attempt."""
    ledger_driver.register(build_arrivals(1))
    later = ledger_driver.clock() + timedelta(seconds=10)
    ledger_driver.analyse_all(
        state=State.RECEIVED, reason=Reason.MISSING_FILE, detail="Gone.", not_before=later, alone=True
    )

    (row,) = ledger_driver.work()
    assert (row.state, row.reason, row.not_before, row.finished_at) == (
        State.RECEIVED,
        Reason.MISSING_FILE,
        later,
        None,
    )
    assert (row.alone, row.batch_id, row.lease_until) == (True, None, None)
    ledger_driver.clock.advance(seconds=10)
    (batch,) = ledger_driver.form()
    (image,) = ledger_driver.claim(batch)
    assert (image.attempts, image.alone, ledger_driver.work()[0].reason) == (2, True, None)


def test_a_record_without_any_outcome_closes_the_batch(ledger_driver: LedgerDriver) -> None:
    """A worker that lost all its images records nothing."""
    ledger_driver.register(build_arrivals(1))
    (batch,) = ledger_driver.form()

    assert ledger_driver.record(batch, []) == {}
    assert ledger_driver.open_batches() == []


def test_a_record_delivered_twice_changes_nothing(ledger_driver: LedgerDriver) -> None:
    """The second record of a batch finds no image that it holds."""
    ledger_driver.register(build_arrivals(2))
    (batch,) = ledger_driver.form()
    outcomes = [build_outcome(image) for image in ledger_driver.claim(batch)]
    ledger_driver.record(batch, outcomes)
    before = ledger_driver.work()

    assert ledger_driver.record(batch, outcomes) == {}
    assert ledger_driver.work() == before


@pytest.mark.parametrize("spoil", UNSTORABLE.values(), ids=UNSTORABLE.keys())
def test_an_unstorable_value_fails_its_own_image_only(
    ledger_driver: LedgerDriver, spoil: Callable[[Outcome], Outcome]
) -> None:
    """Rule 9: the image is failed(unstorable), the others are done, and the batch is closed."""
    check_one_unstorable_row(ledger_driver, spoil)


@pytest.mark.parametrize("spoil", POSTGRESQL_REFUSES.values(), ids=POSTGRESQL_REFUSES.keys())
def test_a_value_that_only_postgresql_refuses_fails_its_own_image_there(
    ledger_driver: LedgerDriver, spoil: Callable[[Outcome], Outcome]
) -> None:
    """Rule 9: SQLite stores these values; PostgreSQL is stricter about text, lengths and ranges."""
    if ledger_driver.database.is_sqlite:
        ledger_driver.register(build_arrivals(1))
        (batch,) = ledger_driver.form()
        assert ledger_driver.record(batch, [spoil(build_outcome(image)) for image in ledger_driver.claim(batch)]) == {
            "done": 1
        }
    else:
        check_one_unstorable_row(ledger_driver, spoil)


def test_no_value_of_a_row_is_in_an_error_or_a_log_line(
    ledger_driver: LedgerDriver, caplog: pytest.LogCaptureFixture
) -> None:
    """Values may be of a patient, so the warning names only the image and the class of the error."""
    ledger_driver.register(build_arrivals(1))
    ledger_driver.analyse_all(label="CANARY\ud800", facts=Facts(body_part="CANARY"))

    warning = "the database refused the values of an image"
    (line,) = (line for line in caplog.records if line.message == warning)
    assert vars(line)["image"] == 1
    assert vars(line)["error"].endswith("Error")
    assert "CANARY" not in caplog.text
    assert not any("CANARY" in str(vars(line)) for line in caplog.records)


def check_one_unstorable_row(ledger_driver: LedgerDriver, spoil: Callable[[Outcome], Outcome]) -> None:
    ledger_driver.register(build_arrivals(3))
    (batch,) = ledger_driver.form()
    first, second, third = (build_outcome(image) for image in ledger_driver.claim(batch))

    counts = ledger_driver.record(batch, [first, spoil(second), third])

    assert counts == {"done": 2, "failed": 1}
    row = ledger_driver.work()[1]
    assert (row.state, row.reason, row.detail) == (State.FAILED, Reason.UNSTORABLE, Reason.UNSTORABLE.message)
    assert ledger_driver.predicted() == [first.work_id, third.work_id]
    assert ledger_driver.open_batches() == []


def test_a_second_record_does_not_change_the_first(ledger_driver: LedgerDriver, bundle_id: int) -> None:
    """A worker that got no confirmation of its commit records again, and holds no image any more."""
    ledger_driver.register(build_arrivals(2))
    (batch,) = ledger_driver.form()
    further = (FurtherPrediction(bundle_id=bundle_id, shadow=False, label="nodule"),)
    outcomes = [build_outcome(image, further=further) for image in ledger_driver.claim(batch)]
    assert ledger_driver.record(batch, outcomes) == {"done": 2}
    assert ledger_driver.record(batch, outcomes) == {}
    assert [row.ordinal for row in ledger_driver.work()] == [0, 0, 1, 1]
    with ledger_driver.database.read() as connection:
        assert connection.execute(select(batches.c.outcomes)).scalar_one() == {"done": 2}


def test_further_results_are_written_once_if_another_image_is_unstorable(
    ledger_driver: LedgerDriver, bundle_id: int
) -> None:
    """Recording one by one tries each image in a savepoint first, which is rolled back."""
    ledger_driver.register(build_arrivals(2))
    (batch,) = ledger_driver.form()
    good, bad = ledger_driver.claim(batch)
    further = (FurtherPrediction(bundle_id=bundle_id, shadow=False, label="nodule"),)
    outcomes = [build_outcome(good, further=further), build_outcome(bad, further=further, bundle_id=10**30)]
    assert ledger_driver.record(batch, outcomes) == {"done": 1, "failed": 1}
    assert [(row.instance_id, row.ordinal) for row in ledger_driver.work()] == [(1, 0), (2, 0), (1, 1)]
