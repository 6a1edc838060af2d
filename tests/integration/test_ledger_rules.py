"""Rules on results: which results match, what an action stores, and the priorities of waiting images."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

import pytest
from ledger_driver import LedgerDriver, build_arrivals
from sqlalchemy import Connection, insert, select, update

from db import ledger
from db.alarm_tables import notices, rule_actions
from db.engine import Database
from db.ledger.result_actions import (
    RuleMatch,
    apply_rule,
    is_wanted_by_rule,
    rule_matches,
    studies_sent_by_rules,
)
from db.ledger.rule_priorities import KEPT, keep_priorities
from db.tables import State, audit, instances, work
from imaging.facts import Facts
from nightread.reasons import Reason
from nightread.result_rules import ResultRule

T = TypeVar("T")
STUDY = "1.2.3"
ANY = {"name": "any", "min_score": 0.0, "tag": "seen"}
ACTIONS = {"tag": "call", "webhook": "pager", "priority": 0}


def rule(**fields: Any) -> ResultRule:
    return ResultRule(**{**ANY, **fields})


def matches(driver: LedgerDriver, of: ResultRule, *, since: datetime | None = None) -> list[tuple[str, int]]:
    """Return subject and image of the matches until now."""
    since = since or driver.clock() - timedelta(hours=1)
    return [
        (each.subject, each.image_id) for each in rule_matches(driver.database, of, since=since, until=driver.clock())
    ]


def add_action(driver: LedgerDriver, kind: str, target: str, subject: str = STUDY, at: datetime | None = None) -> None:
    """Add the action of a rule whose name is its target."""
    row = {"rule": target, "kind": kind, "target": target, "subject": subject, "instance_id": 1}
    statement = insert(rule_actions).values(**row, at=at or driver.clock())
    driver.database.write(lambda connection: connection.execute(statement))


def change_image(driver: LedgerDriver, image_id: int, **values: Any) -> None:
    statement = update(instances).where(instances.c.id == image_id).values(**values)
    driver.database.write(lambda connection: connection.execute(statement))


def change_work(driver: LedgerDriver, image_id: int, **values: Any) -> None:
    statement = update(work).where(work.c.instance_id == image_id).values(**values)
    driver.database.write(lambda connection: connection.execute(statement))


def analyse(driver: LedgerDriver, study: str | None = STUDY, number: int = 1, **fields: Any) -> None:
    """Record results of one study."""
    driver.register(build_arrivals(number))
    driver.analyse_all(facts=Facts(study_instance_uid=study), **fields)


def test_a_study_matches_once_and_an_image_without_a_study_by_itself(ledger_driver: LedgerDriver) -> None:
    """The first image of each is named, and the order is that of these images."""
    analyse(ledger_driver, "1.9", 2)
    analyse(ledger_driver, None, 2)
    analyse(ledger_driver, "1.1", 2)

    database, now = ledger_driver.database, ledger_driver.clock()
    found = rule_matches(database, rule(), since=now - timedelta(hours=1), until=now)
    assert found == [
        RuleMatch(rule="any", subject="1.9", study_instance_uid="1.9", image_id=1),
        RuleMatch(rule="any", subject="image 3", study_instance_uid=None, image_id=3),
        RuleMatch(rule="any", subject="image 4", study_instance_uid=None, image_id=4),
        RuleMatch(rule="any", subject="1.1", study_instance_uid="1.1", image_id=5),
    ]


def test_results_of_the_time_range_match(ledger_driver: LedgerDriver) -> None:
    """A result at its beginning was examined before, and one at its end counts."""
    began = ledger_driver.clock()
    analyse(ledger_driver)
    assert matches(ledger_driver, rule(), since=began) == []
    assert matches(ledger_driver, rule(), since=began - timedelta(seconds=1)) == [(STUDY, 1)]
    until = began - timedelta(seconds=1)
    assert rule_matches(ledger_driver.database, rule(), since=began - timedelta(hours=1), until=until) == []


@pytest.mark.parametrize(
    ("of_work", "of_image"),
    [
        ({"shadow": True}, {}),
        ({"state": "duplicate"}, {}),
        ({}, {"superseded_by": 2}),
        ({}, {"withdrawn_by": 2}),
    ],
    ids=["shadow", "not done", "superseded", "withdrawn"],
)
def test_some_results_do_not_count(
    ledger_driver: LedgerDriver, of_work: dict[str, Any], of_image: dict[str, Any]
) -> None:
    """Of the images of a study, the next one is named instead."""
    analyse(ledger_driver, number=2)
    if of_work:
        change_work(ledger_driver, 1, **of_work)
    if of_image:
        change_image(ledger_driver, 1, **of_image)

    assert matches(ledger_driver, rule()) == [(STUDY, 2)]


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"label": "nodule"}, [2]),
        ({"min_score": 0.5}, [2, 3]),
        ({"min_score": None, "max_score": 0.5}, [1, 2]),
        ({"min_score": 0.5, "max_score": 0.5}, [2]),
        ({"source": "other"}, [3]),
        ({"model": "phantom"}, [1]),
        ({"model": "t"}, [2]),
        ({"model": "t@1"}, [2]),
        ({"model": "t@2"}, []),
    ],
    ids=str,
)
def test_each_condition_decides(
    ledger_driver: LedgerDriver, bundle_id: int, conditions: dict[str, Any], expected: list[int]
) -> None:
    """A score at a limit matches; a model may have any version. An image without a bundle matches no model."""
    trial_id = ledger_driver.register_trial_bundle()
    analyse(ledger_driver, "1.1", label="normal", score=0.25, bundle_id=bundle_id)
    analyse(ledger_driver, "1.2", label="nodule", score=0.5, bundle_id=trial_id)
    now = ledger_driver.clock()
    ledger_driver.source_id = ledger.ensure_source(
        ledger_driver.database, name="other", kind="folder", root="/other", now=now
    )
    analyse(ledger_driver, "1.3", label="mass", score=0.75, bundle_id=None)

    assert [image for _, image in matches(ledger_driver, rule(**conditions))] == expected


def test_an_action_is_stored_once(ledger_driver: LedgerDriver) -> None:
    """With its entry of the audit; the body goes to the channel of the webhook only."""
    database, now = ledger_driver.database, ledger_driver.clock()
    of = rule(**ACTIONS)
    match = RuleMatch(rule="any", subject=STUDY, study_instance_uid=STUDY, image_id=7)
    assert apply_rule(database, of, match, body={"a": 1}, now=now) == ["priority", "tag", "webhook"]
    assert apply_rule(database, of, match, body={"a": 1}, now=ledger_driver.clock.advance(seconds=1)) == []

    made = [("priority", "0"), ("tag", "call"), ("webhook", "pager")]
    with database.read() as connection:
        stored = [tuple(row)[1:] for row in connection.execute(select(rule_actions).order_by(rule_actions.c.id))]
        entries = connection.execute(select(audit).order_by(audit.c.id)).all()
        sent = connection.execute(select(notices)).all()
    assert stored == [("any", kind, target, STUDY, 7, now) for kind, target in made]
    assert [(row.at, row.actor, row.action, row.detail) for row in entries] == [
        (now, "nightread", "result.rule", {"rule": "any", "kind": kind, "target": target, "image": 7})
        for kind, target in made
    ]
    assert [(row.channel, row.body, row.alarm_id) for row in sent] == [("pager", {"a": 1}, None)]


def test_a_rule_wants_a_study_at_its_destination(ledger_driver: LedgerDriver) -> None:
    """Not at another one, and no other study; another kind of action with the same target does not count."""
    add_action(ledger_driver, "destination", "pacs")
    add_action(ledger_driver, "tag", "ward")
    wanted = [
        is_wanted_by_rule(ledger_driver.database, study, destination)
        for study, destination in ((STUDY, "pacs"), (STUDY, "ward"), ("1.9", "pacs"))
    ]
    assert wanted == [True, False, False]


def test_studies_that_rules_sent_are_listed_by_their_first_action(ledger_driver: LedgerDriver) -> None:
    """From the given time on. Other actions send nothing, and an image without a study has no report."""
    since = ledger_driver.clock()
    add_action(ledger_driver, "destination", "pacs", "1.4", since - timedelta(seconds=1))
    add_action(ledger_driver, "destination", "pacs", "1.3", since + timedelta(seconds=2))
    add_action(ledger_driver, "destination", "pacs", "1.2", since)
    add_action(ledger_driver, "destination", "ward", "1.2", since + timedelta(seconds=3))
    add_action(ledger_driver, "destination", "pacs", "image 7", since)
    add_action(ledger_driver, "tag", "call", "1.1", since)

    assert studies_sent_by_rules(ledger_driver.database, since=since) == ["1.2", "1.3"]


def waiting(driver: LedgerDriver, number: int, priority: int = 5) -> list[int]:
    """Let images of the study wait that were read before; return their ids."""
    driver.register(build_arrivals(number), priority=priority)
    ids = [row.id for row in driver.instances()][-number:]
    for image_id in ids:
        change_image(driver, image_id, study_instance_uid=STUDY)
    return ids


def priorities(driver: LedgerDriver) -> list[int]:
    return [row.priority for row in driver.work()]


def test_the_most_urgent_rule_counts_for_a_day(ledger_driver: LedgerDriver) -> None:
    """In any order of the rules. An image that has the priority, and one whose client waits, are not changed."""
    for target in ("3", "2", "4"):
        add_action(ledger_driver, "priority", target)
    for priority in (5, 2, 0, 1):
        waiting(ledger_driver, 1, priority)
    ledger_driver.register(build_arrivals(1))
    now = ledger_driver.clock()
    assert keep_priorities(ledger_driver.database, now + KEPT + timedelta(seconds=1)) == 0
    assert keep_priorities(ledger_driver.database, now + KEPT) == 2
    assert priorities(ledger_driver) == [2, 2, 0, 2, 5]


def test_only_waiting_images_get_the_priority_of_a_rule(ledger_driver: LedgerDriver) -> None:
    """Neither a tag nor an action for another study counts."""
    add_action(ledger_driver, "tag", "3")
    add_action(ledger_driver, "priority", "3", "1.9")
    waiting(ledger_driver, 1)
    assert keep_priorities(ledger_driver.database, ledger_driver.clock()) == 0
    add_action(ledger_driver, "priority", "1")
    ledger_driver.analyse_all(state=State.FAILED, reason=Reason.IO_ERROR, content="a" * 64)
    change_image(ledger_driver, 1, study_instance_uid=STUDY)
    assert keep_priorities(ledger_driver.database, ledger_driver.clock()) == 0
    waiting(ledger_driver, 1)
    assert keep_priorities(ledger_driver.database, ledger_driver.clock()) == 1
    assert priorities(ledger_driver) == [5, 1]


def test_more_than_a_thousand_images_get_the_priority_of_a_rule(ledger_driver: LedgerDriver) -> None:
    """In several statements."""
    ledger_driver.register(build_arrivals(1001))
    of_all = update(instances).values(study_instance_uid=STUDY)
    ledger_driver.database.write(lambda connection: connection.execute(of_all))
    add_action(ledger_driver, "priority", "1")
    assert keep_priorities(ledger_driver.database, ledger_driver.clock()) == 1001
    assert set(priorities(ledger_driver)) == {1}


class ClaimedMeanwhile(Database):
    """A database in which a worker claims the first image before each transaction."""

    def write(self, transaction: Callable[[Connection], T]) -> T:
        """Claim, then run the transaction."""
        claim = update(work).where(work.c.instance_id == 1).values(state=State.RUNNING)
        super().write(lambda connection: connection.execute(claim))
        return super().write(transaction)


def test_an_image_that_is_claimed_meanwhile_keeps_its_priority(ledger_driver: LedgerDriver) -> None:
    """The others get that of the rule."""
    waiting(ledger_driver, 2)
    add_action(ledger_driver, "priority", "1")
    database = ledger_driver.database
    racing = ClaimedMeanwhile(writer=database.writer, reader=database.reader, file=database.file)
    keep_priorities(racing, ledger_driver.clock())
    assert priorities(ledger_driver) == [5, 1]
