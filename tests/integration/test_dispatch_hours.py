"""Images of a source with hours wait outside of them, and nothing is said to be wrong, on both databases."""

from datetime import UTC, datetime

import pytest
from ledger_driver import LedgerDriver, build_arrivals
from living_parts import all_alive

from db import ledger, queries
from db.alarms.ages import old_waiting
from db.alarms.of_condition import findings_of_condition
from db.condition import read_condition
from db.ledger import Cause, SourceFilter
from db.ledger.pauses import ENDED_BY_PEOPLE
from nightread.alarm_rules import AlarmRule
from nightread.nights import nights_of
from nightread.settings import Settings
from producer.dispatcher.source_hours import SourceHours

FOLDER = {"kind": "folder", "name": "mammo", "path": "/mammo"}


def _settings(hours: str | None) -> Settings:
    return Settings(sources=[{**FOLDER, "hours": hours}], time_zone="Europe/Berlin")  # type: ignore[list-item]


@pytest.fixture
def driver(ledger_driver: LedgerDriver) -> LedgerDriver:
    """Three images of the source `mammo` wait at noon, and one of another source."""
    driver = ledger_driver
    driver.clock.now = datetime(2026, 11, 5, 11, 0, tzinfo=UTC)
    mammo = ledger.ensure_source(driver.database, name="mammo", kind="folder", root="/mammo", now=driver.clock())
    driver.register(build_arrivals(3), source_id=mammo)
    driver.register(build_arrivals(1))
    return driver


def _decide(driver: LedgerDriver, settings: Settings) -> list[tuple[Cause, str | None]]:
    database = driver.database
    SourceHours(database, settings, driver.clock).decide(queries.pauses(database))
    return [(pause.cause, pause.source) for pause in queries.pauses(database)]


def test_images_wait_until_their_hours_and_no_longer(driver: LedgerDriver) -> None:
    """At 20:00 of the local time; a person cannot end it, and the settings can."""
    closed, settings = [(Cause.HOURS, "mammo")], _settings("20:00-06:00")
    assert _decide(driver, settings) == closed
    assert _decide(driver, settings) == closed
    ledger.end_pauses(driver.database, ENDED_BY_PEOPLE, actor="ann", now=driver.clock())
    assert _decide(driver, settings) == closed
    driver.clock.now = datetime(2026, 11, 5, 19, 0, tzinfo=UTC)
    assert _decide(driver, settings) == []
    driver.clock.now = datetime(2026, 11, 6, 5, 0, tzinfo=UTC)
    assert _decide(driver, settings) == closed
    assert _decide(driver, _settings(None)) == []


def test_a_source_that_waits_for_its_hours_is_no_problem_and_no_alarm(driver: LedgerDriver) -> None:
    """`status` counts what waits for hours apart, and the oldest waiting image is that of another source."""
    settings = _settings("20:00-06:00")
    _decide(driver, settings)
    now = driver.clock.advance(hours=7)
    all_alive(driver.database, now=now, sources=["mammo"])
    ledger.report_source(driver.database, _id(driver), {}, now=now)
    condition = read_condition(driver.database, settings, nights_of(settings), now=now)
    assert (condition.waiting.hours, condition.waiting.person, condition.waiting.ready) == (3, 0, 1)
    assert not [problem for problem in condition.problems if problem.kind == "pause"]
    assert not [each for each in findings_of_condition(condition) if each.rule is AlarmRule.PAUSED]
    now = driver.clock.advance(hours=2)
    assert [finding.text for finding in old_waiting(driver.database, settings, now)] == [
        "an image has waited for 9 h 00 min"
    ]
    others = SourceFilter(held=frozenset({_id(driver)}))
    (batch,) = ledger.form_batches(
        driver.database, count=1, images=9, max_bytes=2**40, now=driver.clock(), source_filter=others
    )
    assert driver.analyse(batch) == {"done": 1}
    assert list(old_waiting(driver.database, settings, now)) == []


def _id(driver: LedgerDriver) -> int:
    return next(source.id for source in queries.sources(driver.database) if source.name == "mammo")
