"""What the ledger keeps of pauses, and by which outcomes the breaker decides."""

from datetime import timedelta
from typing import Any

import pytest
from night import Night, build_arrivals, build_outcome
from sqlalchemy import select

from db import ledger, queries
from db.ledger import Batch, Cause
from db.queries import Outcomes
from db.tables import State, audit
from nightread.reasons import Reason

FAILED: dict[str, Any] = {"state": State.FAILED, "reason": Reason.INTERNAL_ERROR}
DEFECTIVE: dict[str, Any] = {"state": State.REJECTED, "reason": Reason.TRUNCATED}
OUT_OF_SCOPE: dict[str, Any] = {"state": State.REJECTED, "reason": Reason.LOCALIZER}


def finish(night: Night, number: int, **fields: Any) -> None:
    """So many images get this outcome."""
    night.register(build_arrivals(number))
    night.analyse_all(**fields)
    night.clock.advance(seconds=1)


def latest(night: Night, at_most: int = 100) -> Outcomes:
    since = night.clock() - timedelta(hours=12)
    return queries.latest_outcomes(night.database, at_most=at_most, since=since, now=night.clock())


def causes(night: Night) -> list[Cause]:
    return [pause.cause for pause in queries.pauses(night.database)]


def test_of_each_cause_one_pause_is_in_force(night: Night) -> None:
    """The second changes nothing; those of other causes stand beside it."""
    assert ledger.pause(night.database, Cause.PERSON, detail="first", actor="anna", now=night.clock())
    assert not ledger.pause(night.database, Cause.PERSON, detail="second", actor="ben", now=night.clock())
    assert ledger.pause(night.database, Cause.DISK, detail="full", now=night.clock())

    assert [(pause.cause, pause.detail, pause.actor) for pause in queries.pauses(night.database)] == [
        (Cause.PERSON, "first", "anna"),
        (Cause.DISK, "full", "nightread"),
    ]


def test_a_pause_ends_by_its_cause_and_may_come_again(night: Night) -> None:
    """Who ends one that is not in force is told so."""
    for cause in Cause:
        ledger.pause(night.database, cause, detail="", now=night.clock())
    assert ledger.end_pauses(night.database, [Cause.DISK], now=night.clock()) == [Cause.DISK]
    assert ledger.end_pauses(night.database, [Cause.DISK], now=night.clock()) == []
    assert ledger.end_pauses(night.database, now=night.clock()) == [Cause.BREAKER, Cause.PERSON]
    assert ledger.pause(night.database, Cause.DISK, detail="", now=night.clock())
    assert causes(night) == [Cause.DISK]


def test_what_people_do_is_audited_and_what_happens_by_itself_is_not(night: Night) -> None:
    """Who stopped the night, and who let it go on."""
    ledger.pause(night.database, Cause.DISK, detail="full", now=night.clock())
    ledger.pause(night.database, Cause.PERSON, detail="why", actor="anna", now=night.clock())
    ledger.end_pauses(night.database, [Cause.DISK], now=night.clock())
    ledger.end_pauses(night.database, actor="ben", now=night.clock())
    with night.database.read() as connection:
        kept = connection.execute(select(audit.c.actor, audit.c.action, audit.c.detail).order_by(audit.c.id)).all()
    assert [tuple(row) for row in kept] == [
        ("anna", "dispatch.pause", {"cause": "person", "detail": "why"}),
        ("ben", "dispatch.resume", {"causes": ["person"]}),
    ]


def test_failed_and_defective_outcomes_are_bad_and_no_others(night: Night) -> None:
    """Images that are none of ours, and copies, raise no alarm."""
    finish(night, 3)
    finish(night, 2, **FAILED)
    finish(night, 4, **DEFECTIVE)
    finish(night, 5, **OUT_OF_SCOPE)
    assert latest(night) == Outcomes(total=14, bad=6, worst="truncated")


def test_the_latest_outcomes_are_looked_at(night: Night) -> None:
    """What was bad yesterday is forgotten once enough went well."""
    finish(night, 10, **FAILED)
    finish(night, 10)
    assert latest(night, at_most=10) == Outcomes(total=10, bad=0, worst=None)
    assert latest(night, at_most=15) == Outcomes(total=15, bad=5, worst="internal_error")


def test_after_a_pause_the_breaker_counts_from_zero(night: Night) -> None:
    """Else what it paused for would make it pause again."""
    finish(night, 10, **FAILED)
    ledger.pause(night.database, Cause.BREAKER, detail="", now=night.clock())
    ledger.end_pauses(night.database, now=night.clock())
    assert latest(night).total == 0
    night.clock.advance(seconds=1)
    finish(night, 3)
    assert latest(night) == Outcomes(total=3, bad=0, worst=None)


def test_a_pause_by_a_person_hides_no_outcomes(night: Night) -> None:
    """Only the breaker's own pauses begin the count anew."""
    finish(night, 10, **FAILED)
    ledger.pause(night.database, Cause.PERSON, detail="", now=night.clock())
    ledger.end_pauses(night.database, now=night.clock())
    assert latest(night).bad == 10


def test_images_that_a_person_retries_are_no_outcomes(night: Night) -> None:
    """They wait again."""
    finish(night, 4, **FAILED)
    ledger.retry(night.database, [row.instance_id for row in night.work()][:3], actor="anna", now=night.clock())
    assert latest(night).total == 1


@pytest.fixture
def probe(night: Night) -> Batch:
    """A batch of three that went in spite of the breaker's pause."""
    ledger.pause(night.database, Cause.BREAKER, detail="", now=night.clock())
    night.register(build_arrivals(3))
    (batch,) = night.form()
    ledger.note_probe(night.database, batch.id, now=night.clock())
    return batch


def probe_outcomes(night: Night) -> Outcomes | None:
    (pause,) = queries.pauses(night.database)
    return queries.probe_outcomes(night.database, pause)


def test_a_probe_is_known_by_its_batch_until_it_is_recorded(night: Night, probe: Batch) -> None:
    """Other outcomes of that time are not its own."""
    assert probe_outcomes(night) is None
    night.register(build_arrivals(2))
    night.analyse_all(**FAILED)
    images = night.claim(probe)
    assert probe_outcomes(night) is None
    night.record(probe, [build_outcome(images[0]), *(build_outcome(image, **DEFECTIVE) for image in images[1:])])
    assert probe_outcomes(night) == Outcomes(total=3, bad=2, worst="truncated")


def test_a_probe_that_was_given_back_told_nothing(night: Night, probe: Batch) -> None:
    """Its worker died: the images go on their own, and the batch is closed."""
    night.claim(probe)
    ledger.give_back_predecessor(night.database, night.process, now=night.clock())
    assert probe_outcomes(night) == Outcomes(total=0, bad=0, worst=None)


def test_a_probe_of_a_worker_whose_clock_is_behind_counts(night: Night, probe: Batch) -> None:
    """Outcomes carry its time, which may lie a little before the probe went."""
    night.clock.advance(seconds=-8)
    night.analyse(probe)
    assert probe_outcomes(night) == Outcomes(total=3, bad=0, worst=None)


def test_a_probe_is_forgotten_and_its_time_is_not(night: Night, probe: Batch) -> None:
    """The next one is counted from it."""
    ledger.forget_probe(night.database)
    (pause,) = queries.pauses(night.database)
    assert (pause.probe_batch, pause.probed_at) == (None, night.clock())


def test_without_suspects_images_that_travel_alone_stay(night: Night) -> None:
    """A probe of images that killed their process would tell of them and not of the deploy."""
    night.register(build_arrivals(2))
    (batch,) = night.form()
    night.claim(batch)
    ledger.give_back_predecessor(night.database, night.process, now=night.clock())
    night.register(build_arrivals(3))
    (formed,) = ledger.form_batches(
        night.database, count=1, images=16, max_bytes=2**30, now=night.clock(), batch_filter=ledger.BatchFilter.UNTRIED
    )
    assert formed.images == 3
    assert night.states()[:2] == [State.RECEIVED, State.RECEIVED]
