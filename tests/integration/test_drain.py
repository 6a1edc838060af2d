"""Workers drain, and parts are forgotten, as an operator asks for it; each is audited and can be repeated."""

import json
from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner, Result
from ledger_driver import LedgerDriver, build_arrivals
from living_parts import all_alive, beat, parts, worker_beat
from sqlalchemy import select, update

from cli.main import cli
from db import ledger, queries
from db.alarms.of_condition import findings_of_condition
from db.condition import Level, read_condition
from db.ledger import PartKind
from db.tables import audit, batches
from nightread.alarm_rules import AlarmRule
from nightread.clock import utc_now
from nightread.errors import UsageFault
from nightread.nights import nights_of
from nightread.settings import Settings


@pytest.fixture
def driver(ledger_driver: LedgerDriver) -> LedgerDriver:
    """All parts are alive now, and the worker w@host has one of three batches."""
    ledger_driver.clock.now = utc_now()
    ledger_driver.clock.advance(minutes=-10)
    all_alive(ledger_driver.database, now=ledger_driver.clock())
    ledger_driver.clock.advance(minutes=10)
    all_alive(ledger_driver.database, now=ledger_driver.clock())
    ledger_driver.register(build_arrivals(3))
    first, *_ = ledger_driver.form(count=3, images=1)
    process = ledger.WorkerProcess(node="w@host", boot_id="1", index=0)
    ledger_driver.claim(first, process=process)
    return ledger_driver


def _run(driver: LedgerDriver, *arguments: str) -> Result:
    url = driver.database.writer.url.render_as_string(hide_password=False)
    return CliRunner().invoke(cli, [*arguments, "--database-url", url])


def _actions(driver: LedgerDriver) -> list[tuple[str, Any]]:
    with driver.database.read() as connection:
        rows = connection.execute(select(audit.c.action, audit.c.detail).order_by(audit.c.id)).all()
    return [(action, detail.get("node")) for action, detail in rows if action.startswith(("worker.", "part."))]


def test_a_worker_drains_until_a_person_ends_it(driver: LedgerDriver) -> None:
    """The dispatcher counts its processes no more, and `status` says what it still has."""
    assert "w@host drains: it finishes 1 batch, and takes no more." in _run(driver, "drain", "w@host").output
    assert "w@host drains already" in _run(driver, "drain", "w@host").output
    assert ledger.queue_status(driver.database, images=1, now=driver.clock()).slots == 0
    shown = " ".join(_run(driver, "status").output.split())
    assert "no worker takes images, because all of them drain" in shown
    assert "(drains, 1 batch left)" in shown
    (worker,) = json.loads(_run(driver, "status", "--json").output)["workers"]
    assert (worker["draining"], worker["batches_left"]) == (True, 1)
    assert "takes batches again" in _run(driver, "drain", "w@host", "--end").output
    assert "was not draining" in _run(driver, "drain", "w@host", "--end").output
    assert ledger.queue_status(driver.database, images=1, now=driver.clock()).slots == 2
    assert _actions(driver) == [("worker.drain", "w@host"), ("worker.drain_end", "w@host")]


def test_one_that_drains_beside_others_is_no_problem_and_a_restart_ends_it(driver: LedgerDriver) -> None:
    """A new start of the worker takes batches: a host that was maintained works again."""
    database, clock = driver.database, driver.clock
    worker_beat(database, now=clock(), node="other@host")
    ledger.drain(database, "w@host", actor="ann", now=clock())
    condition = read_condition(database, Settings(), nights_of(Settings()), now=clock())
    assert condition.level is Level.OK, condition.problems
    found = {part.node: part.state.value for part in condition.parts if part.kind is PartKind.WORKER}
    assert found == {"w@host": "draining", "other@host": "alive"}
    ledger.deregister(database, node="w@host", boot_id="1")
    worker_beat(database, now=clock.advance(seconds=5), boot_id="2")
    assert [worker.draining for worker in queries.workers(database, now=clock())] == [False, False]


def test_images_that_wait_while_all_workers_drain_are_an_alarm(driver: LedgerDriver) -> None:
    """A drain that nobody ended must not be noticed in the morning only."""
    database, clock = driver.database, driver.clock
    ledger.drain(database, "w@host", actor="ann", now=clock())
    for minutes, expected in ((9, set()), (11, {AlarmRule.STALLED})):
        formed_at = clock() - timedelta(minutes=minutes)
        database.write(lambda connection, at=formed_at: connection.execute(update(batches).values(created_at=at)))
        condition = read_condition(database, Settings(), nights_of(Settings()), now=clock())
        assert condition.level is Level.STOPPED
        assert {finding.rule for finding in findings_of_condition(condition)} == expected


def test_a_worker_that_ends_says_so_without_heartbeats_for_five_minutes(driver: LedgerDriver) -> None:
    """Celery sends none while it waits for its batches; after that time it is silent."""
    database, clock = driver.database, driver.clock
    ledger.note_shutdown(database, node="w@host", boot_id="1", now=clock())
    clock.advance(minutes=4)
    assert [part.state.value for part in parts(database, clock()) if part.kind is PartKind.WORKER] == ["draining"]
    clock.advance(minutes=2)
    assert [part.state.value for part in parts(database, clock()) if part.kind is PartKind.WORKER] == ["silent"]
    assert _actions(driver) == []


def test_an_unknown_worker_is_named_with_those_that_exist(driver: LedgerDriver) -> None:
    """A typing error must not look like a success."""
    refused = _run(driver, "drain", "w@hots")
    assert isinstance(refused.exception, UsageFault)
    assert str(refused.exception) == "There is no worker w@hots: the workers are w@host."


def test_workers_that_are_scaled_down_leave_no_silence(driver: LedgerDriver) -> None:
    """Each deregisters at its end, so nobody is missed; one that was killed is."""
    database, clock = driver.database, driver.clock
    for name in ("pod-1", "pod-2", "pod-3"):
        worker_beat(database, now=clock(), node=name)
    for name in ("pod-1", "pod-2"):
        ledger.note_shutdown(database, node=name, boot_id="1", now=clock())
        ledger.deregister(database, node=name, boot_id="1")
    clock.advance(seconds=60)
    worker_beat(database, now=clock())
    found = {part.node: part.state.value for part in parts(database, clock()) if part.kind is PartKind.WORKER}
    assert found == {"w@host": "alive", "pod-3": "silent"}


def test_a_part_that_was_taken_away_is_forgotten_and_one_that_lives_is_not(driver: LedgerDriver) -> None:
    """By its name in `nightread parts`; a second time nothing happens."""
    database, clock = driver.database, driver.clock
    beat(database, PartKind.RECEIVER, now=clock(), node="living")
    clock.advance(minutes=-5)
    beat(database, PartKind.API, now=clock(), node="gone")
    worker_beat(database, now=clock(), node="w@gone")
    listed = json.loads(_run(driver, "parts", "--json").output)
    assert {(row["part"], row["node"], row["state"]) for row in listed} >= {
        ("api", "gone", "silent"),
        ("worker", "w@gone", "silent"),
        ("receiver", "living", "alive"),
    }
    done = _run(driver, "parts", "forget", "gone", "w@gone")
    assert (done.exit_code, done.output.splitlines()) == (0, ["gone: forgotten (API).", "w@gone: forgotten (worker)."])
    assert "no part has this name any more" in _run(driver, "parts", "forget", "gone").output
    refused = _run(driver, "parts", "forget", "living")
    assert (refused.exit_code, "stop it first" in refused.output) == (1, True)
    assert {part.node for part in parts(database, utc_now())} >= {"living", "w@host"}
    assert _actions(driver) == [("part.forget", "gone"), ("part.forget", "w@gone")]
