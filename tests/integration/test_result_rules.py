"""Rules on results act once per study, are audited, and never change a result, on both databases."""

from datetime import timedelta
from typing import Any

import pytest
from ledger_driver import LedgerDriver, SettableClock, build_arrivals, build_outcome
from pydantic import ValidationError
from sqlalchemy import Connection, select

from db import ledger, queries
from db.alarm_tables import notices, rule_actions
from db.engine import Database
from db.ledger.result_actions import is_wanted_by_rule, rule_matches
from db.tables import audit, work
from delivery.alarms.result_rules import apply_result_rules
from imaging.facts import Facts
from nightread.result_rules import ResultRule
from nightread.settings import Settings

STUDY = "1.2.3.4"
CHANNEL = {"name": "pager", "kind": "webhook", "url": "https://pager.example/", "secret": "0123456789abcdef"}
DESTINATION = {"name": "stroke", "kind": "stow", "url": "https://pacs.example", "studies": "rules"}
RULE = {
    "name": "urgent",
    "label": "bleeding",
    "min_score": 0.8,
    "priority": 0,
    "tag": "call the night doctor",
    "webhook": "pager",
    "destination": "stroke",
}


def _settings(**rule: Any) -> Settings:
    values = {"alarm_channels": [CHANNEL], "destinations": [DESTINATION], "result_rules": [{**RULE, **rule}]}
    return Settings(**values)  # type: ignore[arg-type]


@pytest.fixture
def driver(database: Database, clock: SettableClock, source_id: int) -> LedgerDriver:
    """A ledger whose results begin after the rules."""
    driver = LedgerDriver(database=database, clock=clock, source_id=source_id)
    apply_result_rules(_settings(), database, clock())
    clock.advance(minutes=10)
    return driver


def _result(driver: LedgerDriver, label: str, score: float, *, study: str | None = STUDY, number: int = 1) -> None:
    """Record one result; the other images of the study wait."""
    driver.register(build_arrivals(number))
    (batch,) = driver.form(count=1, images=number)
    claimed = driver.claim(batch)
    facts = Facts(study_instance_uid=study)
    fields = {"label": label, "score": score, "facts": facts}
    driver.record(batch, [build_outcome(image, **fields) for image in claimed])


def _rows(database: Database, table: Any) -> list[Any]:
    with database.read() as connection:
        return list(connection.execute(select(table)))


def test_a_match_sets_each_action_in_motion_once(database: Database, driver: LedgerDriver) -> None:
    """The channel is told the number of the image only, with the mark; the audit table has each action."""
    _result(driver, "bleeding", 0.9, number=2)
    before = [(row.label, row.score, row.state) for row in driver.work()]
    now = driver.clock.advance(minutes=1)
    assert apply_result_rules(_settings(), database, now) == 4
    assert apply_result_rules(_settings(), database, driver.clock.advance(minutes=1)) == 0
    (notice,) = _rows(database, notices)
    image = driver.instances()[0].id
    assert notice.body == {
        "version": 1,
        "event": "result",
        "rule": "urgent",
        "image": image,
        "at": now.isoformat(timespec="seconds"),
        "not_for_diagnosis": True,
    }
    entries = [row for row in _rows(database, audit) if row.action == "result.rule"]
    assert [entry.detail["kind"] for entry in entries] == ["priority", "tag", "webhook", "destination"]
    assert queries.study_tags(database, [STUDY]) == {STUDY: ["call the night doctor"]}
    assert is_wanted_by_rule(database, STUDY, "stroke")
    assert not is_wanted_by_rule(database, "1.2.9", "stroke")
    assert [(row.label, row.score, row.state) for row in driver.work()] == before


@pytest.mark.parametrize(
    "conditions",
    [{"label": "normal"}, {"min_score": 0.95}, {"max_score": 0.5}, {"model": "t@2"}, {"source": "another"}],
)
def test_every_condition_must_hold(database: Database, driver: LedgerDriver, conditions: dict[str, Any]) -> None:
    """One that does not hold is enough."""
    _result(driver, "bleeding", 0.9)
    assert apply_result_rules(_settings(**conditions), database, driver.clock.advance(minutes=1)) == 0


def test_the_waiting_images_of_the_study_get_the_priority(database: Database, driver: LedgerDriver) -> None:
    """Those whose study is known from an earlier attempt; images of other studies keep theirs."""
    _result(driver, "bleeding", 0.9, number=2)
    first, second = driver.work()

    def postpone(connection: Any) -> None:
        connection.execute(work.update().where(work.c.id == second.id).values(state="received", finished_at=None))

    database.write(postpone)
    driver.register(build_arrivals(1))
    apply_result_rules(_settings(), database, driver.clock.advance(minutes=1))
    assert [row.priority for row in driver.work()] == [5, 0, 5]
    assert first.priority == 5


def _wait_again(connection: Connection) -> None:
    """Let all images wait again, as after `nightread retry`, with the priority of new images."""
    connection.execute(work.update().values(state="received", finished_at=None, priority=5))


def test_a_later_image_of_the_study_gets_the_priority_too(database: Database, driver: LedgerDriver) -> None:
    """For a day, although the rule has acted; another rule that is less urgent changes nothing."""
    later = {**RULE, "name": "later", "priority": 3, "webhook": None}
    settings = Settings(
        alarm_channels=[CHANNEL],  # type: ignore[arg-type]
        destinations=[DESTINATION],  # type: ignore[arg-type]
        result_rules=[later, RULE],  # type: ignore[arg-type]
    )
    _result(driver, "bleeding", 0.9)
    apply_result_rules(settings, database, driver.clock.advance(minutes=1))
    _result(driver, "normal", 0.9)
    _result(driver, "bleeding", 0.9, study="1.2.9", number=1)
    database.write(_wait_again)
    assert apply_result_rules(settings, database, driver.clock.advance(hours=23)) == 0
    assert [row.priority for row in driver.work()] == [0, 0, 5]
    database.write(_wait_again)
    apply_result_rules(settings, database, driver.clock.advance(hours=2))
    assert [row.priority for row in driver.work()] == [5, 5, 5]


def test_an_image_whose_client_waits_stays_first(database: Database, driver: LedgerDriver) -> None:
    """Whatever a rule says of its study."""
    _result(driver, "bleeding", 0.9, number=3)
    first, second, _ = (row.id for row in driver.work())

    def wait(connection: Connection) -> None:
        for which, priority in ((first, 0), (second, 5)):
            again = work.update().where(work.c.id == which)
            connection.execute(again.values(state="received", finished_at=None, priority=priority))

    database.write(wait)
    apply_result_rules(_settings(priority=8), database, driver.clock.advance(minutes=1))
    assert [row.priority for row in driver.work()] == [0, 8, 5]


def test_results_from_before_the_rules_are_left_alone_and_a_dry_run_shows_them(
    database: Database, clock: SettableClock, source_id: int
) -> None:
    """A new rule does not wake somebody for last week."""
    driver = LedgerDriver(database=database, clock=clock, source_id=source_id)
    _result(driver, "bleeding", 0.9)
    clock.advance(hours=1)
    assert apply_result_rules(_settings(), database, clock()) == 0
    rule = ResultRule(**RULE)  # type: ignore[arg-type]
    (match,) = rule_matches(database, rule, since=clock() - timedelta(hours=2), until=clock())
    assert match.subject == STUDY
    assert _rows(database, notices) == []


@pytest.mark.parametrize(
    "rule",
    [
        {"webhook": "nobody"},
        {"destination": "pacs"},
        {"label": None, "min_score": None},
        {"priority": None, "tag": None, "webhook": None, "destination": None},
        {"min_score": 2},
    ],
)
def test_wrong_rules_are_refused(rule: dict[str, Any]) -> None:
    """When the settings are read."""
    with pytest.raises(ValidationError):
        _settings(**rule)


@pytest.mark.parametrize("study", [STUDY, None])
def test_a_purge_removes_the_tags_and_a_study_that_comes_again_is_told_again(
    database: Database, driver: LedgerDriver, study: str | None
) -> None:
    """The rows of the rules name the study, so they go with it; the audit table names none."""
    _result(driver, "bleeding", 0.9, study=study)
    assert apply_result_rules(_settings(), database, driver.clock.advance(minutes=1)) == 4
    (image,) = [row.id for row in driver.instances()]
    ledger.purge(database, [image], cause="image", actor="ann", now=driver.clock())
    assert _rows(database, rule_actions) == []
    assert STUDY not in str(_rows(database, audit))
    _result(driver, "bleeding", 0.9, study=study)
    assert apply_result_rules(_settings(), database, driver.clock.advance(minutes=1)) == 4
