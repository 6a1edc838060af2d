"""What the fields of an outcome do afterwards: at the next claim, in the next batch, and for other images."""

from datetime import timedelta

import pytest
from ledger_driver import LedgerDriver, build_arrivals, build_outcome
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from db import ledger
from db.ledger import Arrival, Claimed, FramePrediction, FurtherPrediction, Outcome
from db.tables import State, batches, predictions
from imaging.facts import Facts
from nightread.reasons import Reason

CONTENT = "c" * 64


def analyse_one(ledger_driver: LedgerDriver, **fields: object) -> Claimed:
    """Form, claim and record one batch of one image; return what the worker got."""
    (batch,) = ledger_driver.form()
    (image,) = ledger_driver.claim(batch)
    ledger_driver.record(batch, [build_outcome(image, **fields)])
    return image


def test_an_image_that_only_waited_has_used_no_attempt(ledger_driver: LedgerDriver) -> None:
    """Its next claim is the first attempt again, and starts the time in which it may be tried."""
    ledger_driver.register(build_arrivals(1))
    began = ledger_driver.clock()
    for days in range(3):
        image = analyse_one(ledger_driver, state=State.RECEIVED, reason=Reason.SOURCE_GONE, uncounted=True)
        assert (image.attempts, image.tried_since) == (1, began + timedelta(days=days))
        ledger_driver.clock.advance(days=1)


def test_an_image_that_was_tried_has_used_an_attempt(ledger_driver: LedgerDriver) -> None:
    """The time in which it may be tried runs from its first claim."""
    ledger_driver.register(build_arrivals(1))
    began = ledger_driver.clock()
    for attempts in (1, 2, 3):
        image = analyse_one(ledger_driver, state=State.RECEIVED, reason=Reason.IO_ERROR)
        assert (image.attempts, image.tried_since) == (attempts, began)
        ledger_driver.clock.advance(days=1)


def test_a_wait_between_two_attempts_takes_back_only_its_own(ledger_driver: LedgerDriver) -> None:
    """One failed attempt, one wait: the third claim is the second attempt."""
    ledger_driver.register(build_arrivals(1))
    assert analyse_one(ledger_driver, state=State.RECEIVED, reason=Reason.IO_ERROR).attempts == 1
    assert analyse_one(ledger_driver, state=State.RECEIVED, reason=Reason.SOURCE_GONE, uncounted=True).attempts == 2
    assert analyse_one(ledger_driver).attempts == 2


def test_an_image_that_must_travel_alone_does_so_until_it_is_done(ledger_driver: LedgerDriver) -> None:
    """Neither a later outcome, nor a changed file, nor a person's retry puts it among other images again."""
    ledger_driver.register([Arrival(uri="heavy.dcm", size=1, mtime_ns=1)])
    analyse_one(ledger_driver, state=State.RECEIVED, reason=Reason.OUT_OF_MEMORY, alone=True)
    ledger_driver.register(build_arrivals(2))

    def sizes() -> list[int]:
        batches = ledger_driver.form()
        ledger.return_batches(ledger_driver.database, [batch.id for batch in batches], now=ledger_driver.clock())
        return [batch.images for batch in batches]

    assert sizes() == [1, 2]
    (heavy, _) = ledger_driver.form()
    (image,) = ledger_driver.claim(heavy)
    assert image.alone
    ledger_driver.record(heavy, [build_outcome(image, state=State.RECEIVED, reason=Reason.IO_ERROR)])
    ledger.return_batches(
        ledger_driver.database, ledger.open_batches(ledger_driver.database), now=ledger_driver.clock()
    )
    assert sizes() == [1, 2]
    ledger_driver.register([Arrival(uri="heavy.dcm", size=2, mtime_ns=2)])
    assert sizes() == [1, 2]
    (heavy, _) = ledger_driver.form()
    (image,) = ledger_driver.claim(heavy)
    ledger_driver.record(heavy, [build_outcome(image, state=State.FAILED, reason=Reason.IO_ERROR)])
    assert ledger.retry(ledger_driver.database, [image.instance_id], actor="ann", now=ledger_driver.clock()) == 1
    ledger.return_batches(
        ledger_driver.database, ledger.open_batches(ledger_driver.database), now=ledger_driver.clock()
    )
    assert sizes() == [1, 2]


@pytest.mark.parametrize(
    ("reason", "alone"),
    [
        (Reason.KILLED_WORKER, True),
        (Reason.TIMEOUT, True),
        (Reason.OUT_OF_MEMORY, True),
        (Reason.IO_ERROR, False),
        (Reason.INTERNAL_ERROR, False),
    ],
)
def test_an_image_that_was_dangerous_travels_alone_when_a_person_retries_it(
    ledger_driver: LedgerDriver, reason: Reason, *, alone: bool
) -> None:
    """Images that failed for another reason may travel with others."""
    ledger_driver.register(build_arrivals(2))
    ledger_driver.analyse_all(state=State.FAILED, reason=reason, content=None)
    ledger.retry(
        ledger_driver.database, [row.id for row in ledger_driver.instances()], actor="ann", now=ledger_driver.clock()
    )
    assert [batch.images for batch in ledger_driver.form()] == ([1, 1] if alone else [2])


def test_an_image_is_not_claimed_before_its_time(ledger_driver: LedgerDriver) -> None:
    """Its batch is formed at `not_before` and not a second earlier; then nothing remains of the pause."""
    ledger_driver.register(build_arrivals(1))
    later = ledger_driver.clock() + timedelta(seconds=10)
    analyse_one(ledger_driver, state=State.RECEIVED, reason=Reason.IO_ERROR, not_before=later)
    ledger_driver.clock.advance(seconds=9)
    assert ledger_driver.form() == []
    ledger_driver.clock.advance(seconds=1)
    assert len(ledger_driver.form()) == 1
    assert ledger_driver.work()[0].not_before is None


def test_a_fault_of_the_database_is_no_fault_of_an_image(
    ledger_driver: LedgerDriver, caplog: pytest.LogCaptureFixture
) -> None:
    """A table is missing for a moment: `record` raises at once, and a repeat records all."""
    ledger_driver.register(build_arrivals(2))
    (batch,) = ledger_driver.form()
    outcomes = [build_outcome(image) for image in ledger_driver.claim(batch)]
    _rename(ledger_driver, "predictions", "predictions_away")
    with pytest.raises(DBAPIError):
        ledger_driver.record(batch, outcomes)
    assert "recording the batch image by image" not in caplog.text
    assert ledger_driver.states() == [State.RUNNING, State.RUNNING]
    assert ledger_driver.open_batches() == [batch.id]
    _rename(ledger_driver, "predictions_away", "predictions")
    assert ledger_driver.record(batch, outcomes) == {"done": 2}


def test_a_fault_of_the_database_while_images_are_tried_one_by_one_is_raised(ledger_driver: LedgerDriver) -> None:
    """One image has a value that the database refuses; then a table is missing for the other one."""
    ledger_driver.register(build_arrivals(2))
    (batch,) = ledger_driver.form()
    first, second = ledger_driver.claim(batch)
    refused = build_outcome(first, bundle_id=999_999, frames=())
    _rename(ledger_driver, "predictions", "predictions_away")
    with pytest.raises(DBAPIError):
        ledger_driver.record(batch, [refused, build_outcome(second)])
    _rename(ledger_driver, "predictions_away", "predictions")
    assert ledger_driver.states() == [State.RUNNING, State.RUNNING]


def _rename(ledger_driver: LedgerDriver, old: str, new: str) -> None:
    ledger_driver.database.write(lambda connection: connection.execute(text(f"ALTER TABLE {old} RENAME TO {new}")))


@pytest.mark.parametrize("at_once", [True, False], ids=["one batch", "four batches"])
def test_versions_are_counted_per_series(ledger_driver: LedgerDriver, *, at_once: bool) -> None:
    """One SOP UID occurs in two series, twice in each: in both of them the newest image is current."""
    ledger_driver.register(build_arrivals(4))
    series = iter(["2.1", "2.2", "2.1", "2.2"])
    for batch in ledger_driver.form(images=4 if at_once else 1):
        outcomes = [
            build_outcome(image, facts=Facts(sop_instance_uid="1.1", series_instance_uid=next(series)))
            for image in ledger_driver.claim(batch)
        ]
        ledger_driver.record(batch, outcomes)
    a1, b1, a2, b2 = ledger_driver.instances()
    assert [row.superseded_by for row in (a1, b1, a2, b2)] == [a2.id, b2.id, None, None]


def test_a_further_answer_that_is_refused_costs_only_itself(ledger_driver: LedgerDriver, bundle_id: int) -> None:
    """The image keeps its own answer; the further answer of another image in the batch is stored."""
    ledger_driver.register(build_arrivals(2))
    (batch,) = ledger_driver.form()
    first, second = ledger_driver.claim(batch)
    good = FurtherPrediction(bundle_id=bundle_id, shadow=False, label="nodule")
    refused = FurtherPrediction(bundle_id=bundle_id, shadow=False, label="\ud800")

    counts = ledger_driver.record(
        batch, [build_outcome(first, further=(refused,)), build_outcome(second, further=(good,))]
    )

    assert counts == {"done": 2}
    rows = [(row.instance_id, row.ordinal, row.state, row.label) for row in ledger_driver.work()]
    assert rows == [
        (first.instance_id, 0, State.DONE, "normal"),
        (second.instance_id, 0, State.DONE, "normal"),
        (second.instance_id, 1, State.DONE, "nodule"),
    ]
    assert ledger_driver.predicted() == [first.work_id, second.work_id]


def test_an_image_whose_own_answer_is_refused_loses_its_further_answers(
    ledger_driver: LedgerDriver, bundle_id: int
) -> None:
    """A failed image has no results at all."""
    ledger_driver.register(build_arrivals(1))
    further = (FurtherPrediction(bundle_id=bundle_id, shadow=False, label="nodule"),)
    image = analyse_one(ledger_driver, label="\ud800", further=further)
    (row,) = ledger_driver.work()
    assert (row.id, row.state, row.reason) == (image.work_id, State.FAILED, Reason.UNSTORABLE)


def test_a_further_answer_has_all_of_its_values(ledger_driver: LedgerDriver, bundle_id: int) -> None:
    """Its row is final, belongs to the batch, and has its own predictions by frame."""
    ledger_driver.register(build_arrivals(1))
    frames = tuple(FramePrediction(frame=i, label="nodule", score=0.5 + i, scores=[0.5 - i, 0.5 + i]) for i in range(2))
    done = FurtherPrediction(
        bundle_id=bundle_id,
        shadow=True,
        route_id=None,
        matched={"modality": "CR"},
        label="nodule",
        score=1.5,
        scores=[-0.5, 1.5],
        frames=frames,
    )
    failed = FurtherPrediction(bundle_id=bundle_id, shadow=False, reason=Reason.BAD_SCORES)
    (batch,) = ledger_driver.form()
    (image,) = ledger_driver.claim(batch)
    ledger_driver.clock.advance(seconds=3)
    ledger_driver.record(batch, [build_outcome(image, further=(done, failed))])

    own, second, third = ledger_driver.work()
    assert (second.ordinal, second.state, second.shadow, second.matched) == (1, State.DONE, True, {"modality": "CR"})
    assert (second.label, second.score, second.scores) == ("nodule", 1.5, [-0.5, 1.5])
    assert (second.batch_id, second.finished_at, second.bundle_id) == (batch.id, ledger_driver.clock(), bundle_id)
    assert (third.ordinal, third.state, third.shadow) == (2, State.FAILED, False)
    assert (third.reason, third.detail) == (Reason.BAD_SCORES, Reason.BAD_SCORES.message)
    with ledger_driver.database.read() as connection:
        stored = connection.execute(select(predictions).order_by(predictions.c.work_id, predictions.c.frame)).all()
    assert [(row.work_id, row.frame, row.score) for row in stored] == [
        (own.id, 0, 0.25),
        (second.id, 0, 0.5),
        (second.id, 1, 1.5),
    ]


def test_an_unpacked_archive_owns_its_content(ledger_driver: LedgerDriver) -> None:
    """A copy of it is a duplicate, and needs no unpacking."""
    ledger_driver.register(build_arrivals(2))
    first, second = ledger_driver.form(images=1)
    ledger_driver.analyse(first, state=State.EXPANDED, content=CONTENT)
    (archive, _) = ledger_driver.instances()
    assert ledger.known_contents(ledger_driver.database, [CONTENT]) == {CONTENT: archive.id}
    assert ledger_driver.analyse(second, state=State.EXPANDED, content=CONTENT) == {"duplicate": 1}
    assert ledger_driver.work()[1].duplicate_of == archive.id


def test_a_duplicate_keeps_nothing_of_its_own_result(ledger_driver: LedgerDriver, bundle_id: int) -> None:
    """Both copies were analysed in one batch; only the first one has a result, with further answers."""
    ledger_driver.register(build_arrivals(2))
    further = (FurtherPrediction(bundle_id=bundle_id, shadow=False, label="nodule"),)
    fields = {"content": CONTENT, "bundle_id": bundle_id, "matched": {"modality": "CR"}, "further": further}
    ledger_driver.analyse_all(**fields)
    own, copy, answer = ledger_driver.work()
    assert (own.matched, answer.instance_id) == ({"modality": "CR"}, own.instance_id)
    assert copy.state == State.DUPLICATE
    assert (copy.bundle_id, copy.label, copy.score, copy.scores, copy.matched) == (None,) * 5


def test_a_claim_clears_reason_and_detail_of_the_last_attempt(ledger_driver: LedgerDriver) -> None:
    """While the image is analysed, nothing is said about it."""
    ledger_driver.register(build_arrivals(1))
    analyse_one(ledger_driver, state=State.RECEIVED, reason=Reason.IO_ERROR, detail="The disk failed.")
    assert ledger_driver.work()[0].detail == "The disk failed."
    (batch,) = ledger_driver.form()
    ledger_driver.claim(batch)
    assert (ledger_driver.work()[0].reason, ledger_driver.work()[0].detail) == (None, None)


def test_a_record_of_another_batch_closes_only_that_batch(ledger_driver: LedgerDriver) -> None:
    """Outcomes and figures of one batch do not touch another one."""
    ledger_driver.register(build_arrivals(2))
    first, second = ledger_driver.form(images=1)
    held = ledger_driver.claim(second)
    ledger_driver.analyse(first)
    assert ledger_driver.open_batches() == [second.id]
    assert ledger_driver.record(first, [build_outcome(image) for image in held]) == {}
    assert ledger_driver.states() == [State.DONE, State.RUNNING]
    with ledger_driver.database.read() as connection:
        figures = connection.execute(select(batches.c.outcomes).order_by(batches.c.created_at, batches.c.id))
        assert sorted(figures.scalars(), key=str) == [None, {"done": 1}]


def test_facts_are_kept_of_images_whose_bytes_were_read(ledger_driver: LedgerDriver) -> None:
    """A rejected image has its hash and facts; an image that could not be read has neither."""
    ledger_driver.register(build_arrivals(2))
    first, second = ledger_driver.form(images=1)
    facts = Facts(modality="CR")
    ledger_driver.analyse(first, state=State.REJECTED, reason=Reason.BAD_PIXELS, content=CONTENT, facts=facts)
    ledger_driver.analyse(second, state=State.FAILED, reason=Reason.IO_ERROR, facts=facts)
    read, unread = ledger_driver.instances()
    assert (read.content, read.modality, unread.content, unread.modality) == (CONTENT, "CR", None, None)


def test_the_default_of_an_outcome_is_one_without_anything_special() -> None:
    """A worker names only what it knows."""
    outcome = Outcome(work_id=1, instance_id=2, state=State.DONE)
    assert (outcome.alone, outcome.uncounted) == (False, False)
