"""While dispatch is paused nothing goes but probes, and everything comes in its time again."""

import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from desk import Desk, opened
from mounts import small_disk
from night import Night, build_arrivals, build_outcome

from db import ledger, queries
from db.ledger import Batch, Cause
from db.tables import State
from nightread.contract import BATCH_QUEUE
from nightread.reasons import Reason

BAD: dict[str, Any] = {"state": State.REJECTED, "reason": Reason.BAD_PIXELS}
SAID = "dispatch is paused: `nightread status` says why"
MIB = 1024**2


@pytest.fixture
def desk(night: Night, redis_url: str) -> Iterator[Desk]:
    """A dispatcher that decides on ten outcomes."""
    with opened(night, redis_url, breaker_images=10, breaker_probe_seconds=300) as desk:
        yield desk


def causes(desk: Desk) -> list[Cause]:
    return [pause.cause for pause in queries.pauses(desk.night.database)]


def take(desk: Desk) -> Batch:
    """The batch that waits longest in Redis, as a worker takes it."""
    batch = desk.batches()[0]
    desk.redis.rpop(BATCH_QUEUE)
    images = sum(row.batch_id == batch for row in desk.night.work())
    return Batch(id=batch, images=images)


def drain(desk: Desk, **fields: Any) -> None:
    """A worker ends what is published with this outcome, and what is published then."""
    desk.worker(slots=2)
    desk.dispatch_all()
    while desk.batches():
        desk.night.analyse(take(desk), **fields)
        desk.dispatch_all()
    desk.night.clock.advance(seconds=1)


def trip(desk: Desk) -> None:
    """Ten bad outcomes, twenty images that wait, and a sweep."""
    desk.night.register(build_arrivals(10))
    drain(desk, **BAD)
    desk.sweep()
    desk.night.register(build_arrivals(20))
    desk.worker(slots=2)


def test_bad_outcomes_pause_dispatch(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """What arrives is registered and waits; the log says so once, status why."""
    trip(desk)
    for _ in range(3):
        desk.sweep()
    assert causes(desk) == [Cause.BREAKER]
    assert desk.batches() == []
    assert desk.night.states().count("received") == 20
    assert [record.getMessage() for record in caplog.records].count(SAID) == 1
    (pause,) = queries.pauses(desk.night.database)
    assert "10 of the latest 10 images" in pause.detail
    assert "bad_pixels" in pause.detail


def test_few_bad_outcomes_pause_nothing(desk: Desk) -> None:
    """Scans are bad now and then."""
    desk.night.register(build_arrivals(4))
    drain(desk, **BAD)
    desk.night.register(build_arrivals(6))
    drain(desk)
    desk.sweep()
    assert causes(desk) == []


def test_a_probe_of_sixteen_goes_in_its_time_and_one_only(desk: Desk) -> None:
    """Until its images have outcomes nothing else goes."""
    trip(desk)
    desk.night.clock.advance(seconds=299)
    desk.sweep()
    assert desk.batches() == []
    desk.night.clock.advance(seconds=2)
    desk.worker(slots=2)
    desk.sweep()
    (probe,) = desk.batches()
    assert [row.batch_id for row in desk.night.work()].count(probe) == 16
    desk.night.clock.advance(seconds=3600)
    desk.sweep()
    assert desk.batches() == [probe]


def test_what_waits_for_its_source_does_not_starve_the_probes(desk: Desk) -> None:
    """Forty images of a share that is away are older, and ready again whenever a probe is due."""
    desk.night.register(build_arrivals(40))
    away = desk.night.clock() + timedelta(seconds=200)
    desk.night.analyse_all(state=State.RECEIVED, reason=Reason.SOURCE_GONE, not_before=away, uncounted=True)
    trip(desk)
    desk.night.clock.advance(seconds=301)
    desk.sweep()
    (probe,) = desk.batches()
    taken = {row.instance_id for row in desk.night.work() if row.batch_id == probe}
    assert min(taken) > 40


def test_outcomes_of_another_night_pause_nothing(desk: Desk) -> None:
    """They say nothing of this one."""
    desk.night.register(build_arrivals(10))
    drain(desk, **BAD)
    desk.night.clock.advance(hours=13)
    desk.sweep()
    assert causes(desk) == []


def test_a_good_probe_ends_the_pause(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody need be awake for it."""
    caplog.set_level(logging.INFO)
    trip(desk)
    desk.night.clock.advance(seconds=301)
    desk.sweep()
    desk.night.analyse(take(desk))
    desk.sweep()
    assert causes(desk) == []
    assert "dispatch goes on" in caplog.text
    drain(desk)
    assert set(desk.night.states()[10:]) == {"done"}


def test_a_bad_probe_is_followed_by_another_in_its_time(desk: Desk) -> None:
    """Sixteen images each time, and not the whole night."""
    trip(desk)
    desk.night.clock.advance(seconds=301)
    desk.sweep()
    desk.night.analyse(take(desk), **BAD)
    desk.night.clock.advance(seconds=299)
    desk.sweep()
    assert (causes(desk), desk.batches()) == ([Cause.BREAKER], [])
    desk.night.clock.advance(seconds=2)
    desk.sweep()
    assert len(desk.batches()) == 1
    assert desk.night.states().count("queued") == 4


def test_a_probe_whose_worker_died_is_followed_by_another(desk: Desk) -> None:
    """It told nothing: what killed the worker goes on its own, and the next probe leaves it out."""
    trip(desk)
    desk.night.clock.advance(seconds=301)
    desk.sweep()
    probe = take(desk)
    desk.night.claim(probe)
    desk.night.clock.advance(seconds=61)
    desk.sweep()
    assert desk.night.states().count("received") == 20
    desk.night.clock.advance(seconds=240)
    desk.sweep()
    waiting = [row.alone for row in desk.night.work() if row.state == "queued"]
    assert waiting == [False] * 4


def test_a_probe_of_suspects_goes_where_there_is_nothing_else(desk: Desk) -> None:
    """Else a night of which only those are left would be paused for ever."""
    trip(desk)
    desk.night.clock.advance(seconds=301)
    desk.sweep()
    probe = take(desk)
    desk.night.claim(probe)
    desk.night.clock.advance(seconds=61)
    desk.sweep()
    desk.night.clock.advance(seconds=240)
    desk.sweep()
    desk.night.analyse(take(desk), **BAD)
    desk.night.clock.advance(seconds=301)
    desk.sweep()
    assert [row.alone for row in desk.night.work() if row.state == "queued"] == [True]


def test_a_dispatcher_that_starts_anew_finds_its_pauses(desk: Desk, redis_url: str) -> None:
    """A probe that its predecessor sent included."""
    trip(desk)
    desk.night.clock.advance(seconds=301)
    desk.sweep()
    with opened(desk.night, redis_url, breaker_images=10) as successor:
        successor.sweep()
        (probe,) = successor.batches()
        assert successor.night.states().count("queued") == 16
        successor.night.analyse(Batch(id=probe, images=16))
        successor.redis.rpop(BATCH_QUEUE)
        successor.sweep()
        assert causes(successor) == []


def test_a_dispatcher_whose_breaker_is_off_ends_the_pause(desk: Desk, redis_url: str) -> None:
    """`nightread run` over the state of `nightread up`."""
    trip(desk)
    with opened(desk.night, redis_url, breaker_images=0) as other:
        other.sweep()
        assert causes(other) == []
        assert other.batches()


def test_a_person_who_resumes_is_obeyed_at_the_next_look(desk: Desk) -> None:
    """The outcomes that tripped the breaker do not trip it again."""
    trip(desk)
    ledger.end_pauses(desk.night.database, actor="anna", now=desk.night.clock())
    desk.sweep()
    assert causes(desk) == []
    assert desk.batches()


def test_a_person_s_pause_stops_probes_too(desk: Desk) -> None:
    """Nothing goes at all; what the workers have is recorded."""
    trip(desk)
    ledger.pause(desk.night.database, Cause.PERSON, detail="", actor="anna", now=desk.night.clock())
    desk.night.clock.advance(seconds=301)
    desk.sweep()
    assert desk.batches() == []
    ledger.end_pauses(desk.night.database, [Cause.PERSON], now=desk.night.clock())
    desk.sweep()
    assert len(desk.batches()) == 1


def test_sweeps_go_on_while_dispatch_is_paused(desk: Desk) -> None:
    """What a dead worker held is taken back, and waits."""
    desk.night.register(build_arrivals(4))
    desk.dispatch_all()
    desk.night.claim(take(desk))
    ledger.pause(desk.night.database, Cause.PERSON, detail="", actor="anna", now=desk.night.clock())
    desk.night.clock.advance(seconds=61)
    desk.sweep()
    assert set(desk.night.states()) == {"received"}


def test_a_disk_that_runs_full_pauses_dispatch_until_there_is_room(
    night: Night, redis_url: str, tmp_path: Path
) -> None:
    """Room comes back a little above the mark, so that work does not start and stop by turns."""
    with small_disk(tmp_path / "disk", mib=8) as disk:
        knobs = {"state_dir": disk, "disk_reserve_bytes": 4 * MIB}
        if night.database.is_sqlite:
            knobs["database_url"] = str(night.database.writer.url)
        with opened(night, redis_url, **knobs) as desk:
            filler = disk / "filler"
            filler.write_bytes(bytes(5 * MIB))
            night.register(build_arrivals(4))
            desk.sweep()
            assert (causes(desk), desk.batches()) == ([Cause.DISK], [])
            filler.write_bytes(bytes(int(3.8 * MIB)))
            desk.sweep()
            assert causes(desk) == [Cause.DISK]
            filler.unlink()
            desk.sweep()
            assert (causes(desk), len(desk.batches())) == ([], 1)


def test_late_outcomes_of_a_probe_are_no_answer_to_the_next(desk: Desk) -> None:
    """A worker that lost its lease writes nothing, so the probe after it speaks for itself."""
    trip(desk)
    desk.night.clock.advance(seconds=301)
    desk.sweep()
    first = take(desk)
    images = desk.night.claim(first)
    desk.night.clock.advance(seconds=61)
    desk.sweep()
    desk.night.record(first, [build_outcome(image) for image in images])
    desk.sweep()
    assert causes(desk) == [Cause.BREAKER]
