"""The heartbeats tell which parts are alive, silent, hanging, stopped or missing, on both databases."""

import pytest
from ledger_driver import LedgerDriver, SettableClock, build_arrivals
from living_parts import all_alive, beat, parts, states, worker_beat

from db import ledger
from db.engine import Database
from db.ledger import PartKind, WorkerProcess

ALIVE = {"dispatcher": "alive", "worker": "alive", "redis": "alive"}
UP = {"parts": ["worker", "dispatcher", "watcher", "api", "flower"]}


def test_without_any_heartbeat_the_parts_that_are_always_needed_are_missing(
    database: Database, clock: SettableClock
) -> None:
    """Nobody looks after Redis then. Sources and destinations of the settings need further parts."""
    source = {"kind": "receiver", "name": "pacs", "port": 11112}
    assert states(database, clock()) == {"dispatcher": "missing", "worker": "missing", "redis": "unknown"}
    assert states(database, clock(), sources=[source])["receiver"] == "missing"


@pytest.mark.parametrize(("kind", "seconds"), [("dispatcher", 30), ("worker", 45)])
def test_a_part_without_a_heartbeat_is_silent(
    database: Database, clock: SettableClock, kind: str, seconds: int
) -> None:
    """After three missed heartbeats, so within a minute of its death; a worker's lease of life is longer."""
    all_alive(database, now=clock())
    assert states(database, clock.advance(seconds=seconds))[kind] == "alive"
    assert states(database, clock.advance(seconds=1))[kind] == "silent"


def test_a_part_whose_main_loop_stands_still_hangs(database: Database, clock: SettableClock) -> None:
    """Its process still sends heartbeats."""
    began = clock()
    beat(database, PartKind.DISPATCHER, now=clock.advance(seconds=90), worked_at=began)
    assert states(database, clock())["dispatcher"] == "alive"
    beat(database, PartKind.DISPATCHER, now=clock.advance(seconds=1), worked_at=began)
    (found,) = (part for part in parts(database, clock()) if part.kind is PartKind.DISPATCHER)
    assert (found.state, found.seconds) == ("hanging", 91)


def test_a_main_loop_that_waits_by_its_settings_does_not_hang(database: Database, clock: SettableClock) -> None:
    """`poll_seconds` may be longer than usual."""
    began, detail = clock(), {"round_seconds": 60}
    beat(database, PartKind.DISPATCHER, now=clock.advance(seconds=150), worked_at=began, detail=detail)
    assert states(database, clock())["dispatcher"] == "alive"
    beat(database, PartKind.DISPATCHER, now=clock.advance(seconds=1), worked_at=began, detail=detail)
    assert states(database, clock())["dispatcher"] == "hanging"


def test_a_stop_on_purpose_is_named_only_where_the_part_is_needed(database: Database, clock: SettableClock) -> None:
    """An API that was tried once is not missed; a dispatcher and a watcher are."""
    all_alive(database, now=clock(), sources=["inbox"])
    beat(database, PartKind.API, now=clock())
    for kind in (PartKind.API, PartKind.DISPATCHER, PartKind.WATCHER):
        ledger.record_stop(database, part=kind, boot_id="1", now=clock())
    found = states(database, clock())
    assert found == {"watcher": "stopped", "dispatcher": "stopped", "worker": "alive", "redis": "unknown"}


def test_the_death_of_up_is_seen_although_its_parts_were_stopped(database: Database, clock: SettableClock) -> None:
    """The system ends its processes in order, and each of them reports its stop."""
    beat(database, PartKind.SUPERVISOR, now=clock(), detail=UP)
    clock.advance(minutes=5)
    beat(database, PartKind.SUPERVISOR, now=clock(), detail=UP)
    beat(database, PartKind.DISPATCHER, PartKind.WATCHER, PartKind.API, now=clock())
    for kind in (PartKind.DISPATCHER, PartKind.WATCHER, PartKind.API):
        ledger.record_stop(database, part=kind, boot_id="1", now=clock())
    clock.advance(seconds=31)
    assert states(database, clock()) == {
        "up": "silent",
        "watcher": "stopped",
        "dispatcher": "stopped",
        "worker": "missing",
        "api": "stopped",
        "flower": "unknown",
        "redis": "unknown",
    }


def test_the_parts_of_up_have_two_minutes_to_start(database: Database, clock: SettableClock) -> None:
    """Also those that an earlier `up` left behind."""
    beat(database, PartKind.DISPATCHER, now=clock())
    ledger.record_stop(database, part=PartKind.DISPATCHER, boot_id="1", now=clock())
    beat(database, PartKind.SUPERVISOR, now=clock.advance(hours=1), detail={"parts": ["worker", "dispatcher"]})
    assert states(database, clock()) == {
        "up": "alive",
        "dispatcher": "starting",
        "worker": "starting",
        "redis": "unknown",
    }
    clock.advance(seconds=121)
    beat(database, PartKind.SUPERVISOR, now=clock(), detail={"parts": ["worker", "dispatcher"]})
    assert states(database, clock())["worker"] == "missing"


@pytest.mark.parametrize("kind", [PartKind.DISPATCHER, PartKind.WORKER])
def test_a_part_that_died_and_was_started_again_is_named_for_ten_minutes(
    database: Database, clock: SettableClock, kind: PartKind
) -> None:
    """It may die again, and what it did is worth a look."""
    for boot_id in ("1", "2"):
        all_alive(database, now=clock())
        if kind is PartKind.WORKER:
            worker_beat(database, now=clock(), boot_id=boot_id)
        else:
            beat(database, kind, now=clock(), boot_id=boot_id)
        clock.advance(seconds=2)
    assert states(database, clock())[kind.value] == "restarted"
    clock.advance(minutes=10)
    all_alive(database, now=clock())
    assert kind is PartKind.WORKER or states(database, clock()) == ALIVE | {kind.value: "alive"}


def test_a_start_after_a_stop_on_purpose_is_no_crash(database: Database, clock: SettableClock) -> None:
    """The row begins anew."""
    beat(database, PartKind.DISPATCHER, now=clock())
    ledger.record_stop(database, part=PartKind.DISPATCHER, boot_id="1", now=clock())
    beat(database, PartKind.DISPATCHER, now=clock.advance(seconds=2), boot_id="2")
    assert states(database, clock())["dispatcher"] == "alive"


def test_a_container_with_another_name_takes_the_place_of_the_dead_one(
    database: Database, clock: SettableClock
) -> None:
    """Otherwise each container that was killed would be missed for a week; two dead ones need two successors."""
    for node in ("a", "b"):
        beat(database, PartKind.API, now=clock(), node=node)
    clock.advance(seconds=60)
    beat(database, PartKind.API, now=clock(), node="c")
    found = sorted(
        (part.node or "", part.state.value) for part in parts(database, clock()) if part.kind is PartKind.API
    )
    assert [state for _, state in found] == ["silent", "restarted"]
    beat(database, PartKind.API, now=clock(), node="d")
    assert {part.state.value for part in parts(database, clock()) if part.kind is PartKind.API} == {
        "restarted",
        "alive",
    }


def test_a_part_that_was_started_again_after_its_own_crash_does_not_hide_another_one(
    database: Database, clock: SettableClock
) -> None:
    """Of two workers one dies for good; the other one dies later, and its service starts it again."""
    worker_beat(database, now=clock(), node="b@host", boot_id="1")
    worker_beat(database, now=clock.advance(seconds=60), node="a@host")
    worker_beat(database, now=clock(), node="b@host", boot_id="1")
    worker_beat(database, now=clock.advance(minutes=5), node="b@host", boot_id="2")
    workers = [part for part in parts(database, clock()) if part.kind is PartKind.WORKER]
    assert {part.node: part.state.value for part in workers} == {"a@host": "silent", "b@host": "restarted"}


def test_a_restart_on_purpose_does_not_hide_another_part_that_died(database: Database, clock: SettableClock) -> None:
    """A receiver dies on one host; on another host one is stopped and started again, as for a change of settings."""
    beat(database, PartKind.RECEIVER, now=clock(), node="b", boot_id="b1")
    beat(database, PartKind.RECEIVER, now=clock.advance(seconds=60), node="a", boot_id="a1")
    ledger.record_stop(database, part=PartKind.RECEIVER, boot_id="b1", now=clock.advance(seconds=5))
    beat(database, PartKind.RECEIVER, now=clock.advance(minutes=5), node="b", boot_id="b2")
    found = {part.node: part.state.value for part in parts(database, clock()) if part.kind is PartKind.RECEIVER}
    assert found == {"a": "silent", "b": "alive"}


def test_a_worker_that_is_known_by_its_batches_is_no_successor(
    database: Database, clock: SettableClock, source_id: int
) -> None:
    """Its row is removed when it ends, so its earlier batches tell that its name is not new."""
    driver = LedgerDriver(database=database, clock=clock, source_id=source_id)
    driver.register(build_arrivals(1))
    (batch,) = driver.form()
    driver.claim(batch, process=WorkerProcess(node="b@host", boot_id="1", index=0))
    worker_beat(database, now=clock.advance(seconds=5), node="a@host")
    worker_beat(database, now=clock.advance(minutes=5), node="b@host", boot_id="2")
    workers = [part for part in parts(database, clock()) if part.kind is PartKind.WORKER]
    assert {part.node: part.state.value for part in workers} == {"a@host": "silent", "b@host": "alive"}


def test_parts_of_an_up_that_has_a_successor_are_not_missed(database: Database, clock: SettableClock) -> None:
    """The container of `up` was killed, and another one runs without Flower and the API."""
    beat(database, PartKind.SUPERVISOR, now=clock(), node="a", detail=UP)
    beat(database, PartKind.SUPERVISOR, now=clock.advance(minutes=1), node="b", detail={"parts": ["worker"]})
    assert states(database, clock()) == {
        "up": "restarted",
        "worker": "starting",
        "dispatcher": "missing",
        "redis": "unknown",
    }


def test_a_living_twin_does_not_hide_a_dead_part(database: Database, clock: SettableClock) -> None:
    """It was there before, so it is no successor."""
    beat(database, PartKind.RECEIVER, now=clock(), node="a")
    beat(database, PartKind.RECEIVER, now=clock(), node="b")
    beat(database, PartKind.RECEIVER, now=clock.advance(seconds=10), node="a")
    beat(database, PartKind.RECEIVER, now=clock.advance(seconds=60), node="b")
    assert [part.state for part in parts(database, clock()) if part.kind is PartKind.RECEIVER] == ["alive", "silent"]


def test_a_part_that_serves_other_sources_is_no_successor(database: Database, clock: SettableClock) -> None:
    """A receiver dies on one host; later one of another department is started elsewhere for the first time."""
    beat(database, PartKind.RECEIVER, now=clock(), node="a-1", detail={"sources": ["ct"]})
    later = clock.advance(minutes=30)
    beat(database, PartKind.RECEIVER, now=later, node="b-2", detail={"sources": ["mr"]})
    found = {part.node: part.state.value for part in parts(database, later) if part.kind is PartKind.RECEIVER}
    assert found == {"a-1": "silent", "b-2": "alive"}
    beat(database, PartKind.RECEIVER, now=later, node="c-3", detail={"sources": ["mr", "ct"]})
    assert {part.node for part in parts(database, later) if part.kind is PartKind.RECEIVER} == {"b-2", "c-3"}


def test_the_clocks_of_hosts_are_compared_by_that_of_the_database(database: Database, clock: SettableClock) -> None:
    """Neither a host that is an hour ahead nor one that is an hour behind looks dead, or alive when it is dead."""
    for node, ahead in (("fast", 3600), ("slow", -3600)):
        beat(
            database,
            PartKind.API,
            now=clock.now.replace(hour=clock.now.hour + ahead // 3600),
            node=node,
            ahead_seconds=ahead,
        )
    assert {part.state for part in parts(database, clock())} >= {"alive"}
    assert [part.state for part in parts(database, clock()) if part.kind is PartKind.API] == ["alive"] * 2
    clock.advance(seconds=31)
    assert [part.state for part in parts(database, clock()) if part.kind is PartKind.API] == ["silent"] * 2
    reader = clock.advance(hours=1)
    assert [part.seconds for part in parts(database, reader, ahead_seconds=3600) if part.kind is PartKind.API] == [
        31,
        31,
    ]


def test_a_heartbeat_in_the_future_is_no_proof_of_life(database: Database, clock: SettableClock) -> None:
    """The clock was set back: a part that is alive sends another one within ten seconds."""
    beat(database, PartKind.DISPATCHER, now=clock())
    clock.advance(hours=-1)
    assert states(database, clock())["dispatcher"] == "silent"
    beat(database, PartKind.DISPATCHER, now=clock())
    assert states(database, clock())["dispatcher"] == "alive"


def test_a_part_is_forgotten_after_a_week(database: Database, clock: SettableClock) -> None:
    """A receiver that was moved to another host is not missed for ever."""
    beat(database, PartKind.RECEIVER, now=clock())
    assert states(database, clock.advance(days=6))["receiver"] == "silent"
    assert "receiver" not in states(database, clock.advance(days=1))
    assert ledger.forget_parts(database, now=clock.advance(seconds=1)) == 1


def test_another_part_reports_that_flower_was_stopped(database: Database, clock: SettableClock) -> None:
    """Flower has no access to the database."""
    all_alive(database, now=clock())
    beat(database, PartKind.FLOWER, now=clock(), boot_id="f")
    assert states(database, clock()) == ALIVE | {"flower": "alive"}
    beat(database, PartKind.FLOWER, now=clock(), boot_id="f", stopped=True)
    assert states(database, clock()) == ALIVE


def test_a_restart_of_everything_is_no_crash_of_redis_and_flower(database: Database, clock: SettableClock) -> None:
    """Nobody can report their stop while the dispatcher is stopped too; under a living dispatcher it is a crash."""
    seen = (PartKind.REDIS, PartKind.FLOWER)
    beat(database, PartKind.DISPATCHER, *seen, now=clock())
    ledger.record_stop(database, part=PartKind.DISPATCHER, boot_id="1", now=clock.advance(seconds=5))
    worker_beat(database, now=clock.advance(minutes=2))
    beat(database, PartKind.DISPATCHER, *seen, now=clock(), boot_id="2")
    assert states(database, clock()) == ALIVE | {"flower": "alive"}
    clock.advance(seconds=10)
    beat(database, PartKind.DISPATCHER, now=clock(), boot_id="2")
    beat(database, *seen, now=clock(), boot_id="3")
    assert states(database, clock()) == ALIVE | {"flower": "restarted", "redis": "restarted"}
