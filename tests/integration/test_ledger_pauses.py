"""Pauses are stored, and the circuit breaker decides by the right outcomes."""

from datetime import timedelta
from typing import Any

import pytest
from ledger_driver import LedgerDriver, build_arrivals, build_outcome
from sqlalchemy import select

from db import ledger, queries
from db.ledger import Batch, Cause
from db.ledger.pauses import ENDED_BY_PEOPLE
from db.queries import LatestOutcomes, Outcomes
from db.store_tables import pauses
from db.tables import State, audit
from nightread.reasons import Reason

FAILED: dict[str, Any] = {"state": State.FAILED, "reason": Reason.INTERNAL_ERROR}
DEFECTIVE: dict[str, Any] = {"state": State.REJECTED, "reason": Reason.TRUNCATED}
NONE = Outcomes(total=0, bad=0, worst=None)
OUT_OF_SCOPE: dict[str, Any] = {"state": State.REJECTED, "reason": Reason.LOCALIZER}


def finish(ledger_driver: LedgerDriver, number: int, **fields: Any) -> None:
    """Analyse this number of images with the same outcome."""
    ledger_driver.register(build_arrivals(number))
    ledger_driver.analyse_all(**fields)
    ledger_driver.clock.advance(seconds=1)


def latest(ledger_driver: LedgerDriver, at_most: int = 100) -> Outcomes:
    """Return those of the one source."""
    return all_latest(ledger_driver, at_most).by_source.get(ledger_driver.source_id, NONE)


def all_latest(ledger_driver: LedgerDriver, at_most: int = 100) -> LatestOutcomes:
    since = ledger_driver.clock() - timedelta(hours=12)
    return queries.latest_outcomes(ledger_driver.database, at_most=at_most, since=since, now=ledger_driver.clock())


def causes(ledger_driver: LedgerDriver) -> list[Cause]:
    return [pause.cause for pause in queries.pauses(ledger_driver.database)]


def test_one_pause_per_cause_is_in_force(ledger_driver: LedgerDriver) -> None:
    """A second pause of the same cause changes nothing; pauses of other causes are added."""
    assert ledger.pause(ledger_driver.database, Cause.PERSON, detail="first", actor="anna", now=ledger_driver.clock())
    assert not ledger.pause(
        ledger_driver.database, Cause.PERSON, detail="second", actor="ben", now=ledger_driver.clock()
    )
    assert ledger.pause(ledger_driver.database, Cause.DISK, detail="full", now=ledger_driver.clock())

    assert [(pause.cause, pause.detail, pause.actor) for pause in queries.pauses(ledger_driver.database)] == [
        (Cause.PERSON, "first", "anna"),
        (Cause.DISK, "full", "nightread"),
    ]


def test_a_pause_ends_by_its_cause_and_may_come_again(ledger_driver: LedgerDriver) -> None:
    """Ending a pause that is not active returns no cause."""
    for cause in ENDED_BY_PEOPLE:
        ledger.pause(ledger_driver.database, cause, detail="", now=ledger_driver.clock())
    assert ledger.end_pauses(ledger_driver.database, [Cause.DISK], now=ledger_driver.clock()) == [Cause.DISK]
    assert ledger.end_pauses(ledger_driver.database, [Cause.DISK], now=ledger_driver.clock()) == []
    assert ledger.end_pauses(ledger_driver.database, now=ledger_driver.clock()) == [Cause.BREAKER, Cause.PERSON]
    assert ledger.pause(ledger_driver.database, Cause.DISK, detail="", now=ledger_driver.clock())
    assert causes(ledger_driver) == [Cause.DISK]


def test_pauses_by_people_are_audited_and_automatic_ones_are_not(ledger_driver: LedgerDriver) -> None:
    """The audit names the persons who paused and resumed dispatch."""
    ledger.pause(ledger_driver.database, Cause.DISK, detail="full", now=ledger_driver.clock())
    ledger.pause(ledger_driver.database, Cause.PERSON, detail="why", actor="anna", now=ledger_driver.clock())
    ledger.end_pauses(ledger_driver.database, [Cause.DISK], now=ledger_driver.clock())
    ledger.end_pauses(ledger_driver.database, actor="ben", now=ledger_driver.clock())
    with ledger_driver.database.read() as connection:
        kept = connection.execute(select(audit.c.actor, audit.c.action, audit.c.detail).order_by(audit.c.id)).all()
    assert [tuple(row) for row in kept] == [
        ("anna", "dispatch.pause", {"cause": "person", "detail": "why"}),
        ("ben", "dispatch.resume", {"causes": ["person"]}),
    ]


def test_each_source_has_pauses_of_its_own(ledger_driver: LedgerDriver) -> None:
    """Beside them there may be one for all sources; one that ended may begin again."""
    database, began = ledger_driver.database, ledger_driver.clock()
    inbox = ledger_driver.source_id
    ward = ledger.ensure_source(database, name="ward", kind="folder", root="/ward", now=began)

    def pause(source_id: int | None) -> bool:
        return ledger.pause(database, Cause.BREAKER, detail="", source_id=source_id, now=began)

    assert [pause(source_id) for source_id in (inbox, inbox, ward, ward, None, None)] == [True, False] * 3
    first, second, third = queries.pauses(database)
    assert [each.source_id for each in (first, second, third)] == [inbox, ward, None]
    ended = ledger_driver.clock.advance(seconds=1)
    ledger.end_pause(database, second.id, now=ended)
    ledger.end_pause(database, second.id, now=ledger_driver.clock.advance(seconds=1))
    assert [pause(source_id) for source_id in (inbox, ward, None)] == [False, True, False]
    with database.read() as connection:
        rows = connection.execute(select(pauses.c.source_id, pauses.c.ended_at, pauses.c.ended_by))
        kept = {(row.source_id, row.ended_at): row.ended_by for row in rows}
    assert kept == {(inbox, None): None, (ward, ended): "nightread", (None, None): None, (ward, None): None}


def test_failed_and_defective_outcomes_are_bad_and_no_others(ledger_driver: LedgerDriver) -> None:
    """Images out of scope and duplicates raise no alarm."""
    finish(ledger_driver, 3)
    finish(ledger_driver, 2, **FAILED)
    finish(ledger_driver, 4, **DEFECTIVE)
    finish(ledger_driver, 5, **OUT_OF_SCOPE)
    assert latest(ledger_driver) == Outcomes(total=14, bad=6, worst="truncated")


def test_only_the_latest_outcomes_count(ledger_driver: LedgerDriver) -> None:
    """Older bad outcomes no longer count after enough good ones."""
    finish(ledger_driver, 10, **FAILED)
    finish(ledger_driver, 10)
    assert latest(ledger_driver, at_most=10) == Outcomes(total=10, bad=0, worst=None)
    assert latest(ledger_driver, at_most=15) == Outcomes(total=15, bad=5, worst="internal_error")


def test_after_a_pause_the_breaker_counts_from_zero(ledger_driver: LedgerDriver) -> None:
    """Otherwise the outcomes that caused the pause would cause the next one."""
    finish(ledger_driver, 10, **FAILED)
    ledger.pause(ledger_driver.database, Cause.BREAKER, detail="", now=ledger_driver.clock())
    ledger.end_pauses(ledger_driver.database, now=ledger_driver.clock())
    assert latest(ledger_driver).total == 0
    ledger_driver.clock.advance(seconds=1)
    finish(ledger_driver, 3)
    assert latest(ledger_driver) == Outcomes(total=3, bad=0, worst=None)


def test_a_pause_by_a_person_hides_no_outcomes(ledger_driver: LedgerDriver) -> None:
    """Only the circuit breaker's own pauses start the count again."""
    finish(ledger_driver, 10, **FAILED)
    ledger.pause(ledger_driver.database, Cause.PERSON, detail="", now=ledger_driver.clock())
    ledger.end_pauses(ledger_driver.database, now=ledger_driver.clock())
    assert latest(ledger_driver).bad == 10


def test_images_that_a_person_retries_are_no_outcomes(ledger_driver: LedgerDriver) -> None:
    """They are received again."""
    finish(ledger_driver, 4, **FAILED)
    ledger.retry(
        ledger_driver.database,
        [row.instance_id for row in ledger_driver.work()][:3],
        actor="anna",
        now=ledger_driver.clock(),
    )
    assert latest(ledger_driver).total == 1


@pytest.fixture
def probe(ledger_driver: LedgerDriver) -> Batch:
    """A batch of three images that was sent despite the circuit breaker's pause."""
    ledger.pause(ledger_driver.database, Cause.BREAKER, detail="", now=ledger_driver.clock())
    ledger_driver.register(build_arrivals(3))
    (batch,) = ledger_driver.form()
    ledger.set_probe(ledger_driver.database, ledger_driver.pause_id(), batch.id, now=ledger_driver.clock())
    return batch


def probe_outcomes(ledger_driver: LedgerDriver) -> Outcomes | None:
    (pause,) = queries.pauses(ledger_driver.database)
    return queries.probe_outcomes(ledger_driver.database, pause)


def test_the_outcomes_of_a_probe_are_those_of_its_batch(ledger_driver: LedgerDriver, probe: Batch) -> None:
    """Other outcomes of the same time do not count."""
    assert probe_outcomes(ledger_driver) is None
    ledger_driver.register(build_arrivals(2))
    ledger_driver.analyse_all(**FAILED)
    images = ledger_driver.claim(probe)
    assert probe_outcomes(ledger_driver) is None
    ledger_driver.record(
        probe, [build_outcome(images[0]), *(build_outcome(image, **DEFECTIVE) for image in images[1:])]
    )
    assert probe_outcomes(ledger_driver) == Outcomes(total=3, bad=2, worst="truncated")


def test_a_probe_that_was_requeued_has_no_outcomes(ledger_driver: LedgerDriver, probe: Batch) -> None:
    """Its worker died: the images are received again, and the batch is closed."""
    ledger_driver.claim(probe)
    ledger.requeue_predecessor(ledger_driver.database, ledger_driver.process, now=ledger_driver.clock())
    assert probe_outcomes(ledger_driver) == Outcomes(total=0, bad=0, worst=None)


def test_a_probe_of_a_worker_whose_clock_is_behind_counts(ledger_driver: LedgerDriver, probe: Batch) -> None:
    """Outcomes have the worker's time, which may be a little before the start of the probe."""
    ledger_driver.clock.advance(seconds=-8)
    ledger_driver.analyse(probe)
    assert probe_outcomes(ledger_driver) == Outcomes(total=3, bad=0, worst=None)


def test_a_cleared_probe_keeps_its_time(ledger_driver: LedgerDriver, probe: Batch) -> None:
    """The pause until the next probe counts from that time."""
    ledger.clear_probe(ledger_driver.database, ledger_driver.pause_id())
    (pause,) = queries.pauses(ledger_driver.database)
    assert (pause.probe_batch, pause.probed_at) == (None, ledger_driver.clock())


def test_a_probe_leaves_out_images_that_travel_alone(ledger_driver: LedgerDriver) -> None:
    """Images that killed their process would say nothing about the present release."""
    ledger_driver.register(build_arrivals(2))
    (batch,) = ledger_driver.form()
    ledger_driver.claim(batch)
    ledger.requeue_predecessor(ledger_driver.database, ledger_driver.process, now=ledger_driver.clock())
    ledger_driver.register(build_arrivals(3))
    (formed,) = ledger.form_batches(
        ledger_driver.database,
        count=1,
        images=16,
        max_bytes=2**30,
        now=ledger_driver.clock(),
        batch_filter=ledger.BatchFilter.UNTRIED,
    )
    assert formed.images == 3
    assert ledger_driver.states()[:2] == [State.RECEIVED, State.RECEIVED]


def test_the_end_of_a_pause_of_a_source_is_audited_with_the_source(ledger_driver: LedgerDriver) -> None:
    """Only the pauses of the named sources end; without a name all end, and the audit names their sources."""
    database, now = ledger_driver.database, ledger_driver.clock()
    one, two, three = (
        ledger.ensure_source(database, name=name, kind="folder", root=name, now=now) for name in ("c", "b", "a")
    )
    for source_id in (one, two, three, None):
        assert ledger.pause(database, Cause.PERSON, detail="why", actor="anna", source_id=source_id, now=now)
    ends = {"actor": "ben", "now": now}
    assert ledger.end_pauses(database, source_ids=[two], **ends) == [Cause.PERSON]  # type: ignore[arg-type]
    assert ledger.end_pauses(database, source_ids=[two], **ends) == []  # type: ignore[arg-type]
    assert ledger.end_pauses(database, **ends) == [Cause.PERSON]  # type: ignore[arg-type]

    with database.read() as connection:
        details = connection.execute(select(audit.c.detail).order_by(audit.c.id)).scalars().all()
    assert details[:4] == [
        *({"cause": "person", "detail": "why", "source_id": source_id} for source_id in (one, two, three)),
        {"cause": "person", "detail": "why"},
    ]
    assert details[4:] == [
        {"causes": ["person"], "source_ids": [two]},
        {"causes": ["person"], "source_ids": [one, three]},
    ]
