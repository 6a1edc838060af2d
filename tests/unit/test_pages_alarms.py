"""The night page and the report show the alarms of the night, and pages show the tags of rules on results."""

from collections.abc import Iterator
from datetime import date, timedelta

import pytest
from databases import NewSqlite
from mixed_night import MORNING, fill_mixed_night
from pages_client import PagesClient, pages_client

from api.pages.night_content import night_content
from api.pages.period import night_of
from api.pages.report import report_text
from db import queries
from db.engine import Database
from db.ledger.alarms import Finding, acknowledge, note_findings
from db.ledger.result_actions import RuleMatch, apply_rule
from nightread.alarm_rules import AlarmRule
from nightread.nights import nights_of
from nightread.result_rules import ResultRule

EVENING = date(2026, 11, 5)
DISK = Finding(rule=AlarmRule.DISK, subject="", text="a disk of this host is nearly full")
PAUSED = Finding(rule=AlarmRule.PAUSED, subject="breaker", text="dispatch is paused by the circuit breaker")
RULE = ResultRule(name="urgent", min_score=0.1, tag="call the night doctor")


@pytest.fixture(scope="module")
def pages(new_sqlite: NewSqlite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PagesClient]:
    """A night in which one alarm closed and one is open, and the study of the most suspicious image has a tag."""
    with pages_client(new_sqlite, tmp_path_factory.mktemp("night"), now=MORNING) as client:
        client.night = fill_mixed_night(client.database, images=60, earlier=5)
        at = MORNING - timedelta(hours=3)
        for findings, minutes in (([DISK, PAUSED], 0), ([PAUSED], 10), ([PAUSED], 40)):
            note_findings(
                client.database,
                findings,
                now=at + timedelta(minutes=minutes),
                night=EVENING,
                notices_of=lambda _event, _alarm: (),
            )
        acknowledge(client.database, [_open(client.database)], actor="ann", now=MORNING)
        yield client


def _open(database: Database) -> int:
    (alarm,) = queries.alarms(database, is_open=True)
    return alarm.id


def _tag(pages: PagesClient) -> tuple[int, str]:
    period = night_of(nights_of(pages.settings), EVENING)
    first, *_ = queries.most_suspicious(pages.database, since=period.since, until=period.until, limit=1)
    uid = first["study_instance_uid"]
    match = RuleMatch(rule="urgent", subject=uid, study_instance_uid=uid, image_id=first["image_id"])
    apply_rule(pages.database, RULE, match, body={}, now=MORNING)
    return first["image_id"], uid


def test_the_alarms_of_the_night_are_listed_the_open_ones_first(pages: PagesClient) -> None:
    """With times in the local time of the site, and who knows of them; an earlier night has none."""
    text = pages.text("/nights/2026-11-05")
    number = _open(pages.database)
    assert f"{number} dispatch is paused by the circuit breaker 6 Nov 03:40 open ann" in text
    assert "a disk of this host is nearly full 6 Nov 03:40 6 Nov 03:50" in text
    assert text.index("circuit breaker 6 Nov") < text.index("nearly full 6 Nov")
    assert "Alarms" not in pages.text("/nights/2026-11-04").split("Needs attention")[1]


def test_the_mail_names_the_open_alarms(pages: PagesClient) -> None:
    """A mail is read on a phone: the closed ones are in the attached page."""
    nights = nights_of(pages.settings)
    night = night_content(pages.database, pages.settings, nights, night_of(nights, EVENING), now=MORNING)
    lines = report_text(night, pages.settings).split("Open alarms:\n")[1].splitlines()
    assert lines[0] == f"- {_open(pages.database)}: dispatch is paused by the circuit breaker."
    assert lines[1] == ""


def test_tags_are_shown_wherever_the_study_is(pages: PagesClient) -> None:
    """On the night page, the image, the study, the list of studies, and in the JSON of the study."""
    image, uid = _tag(pages)
    for path in ("/nights/2026-11-05", f"/images/{image}", f"/studies/{uid}", "/studies"):
        assert "call the night doctor" in pages.text(path), path
    assert "The rule urgent matched its result or that of its study: tag call the night doctor." in pages.text(
        f"/images/{image}"
    )
    assert pages.client.get(f"/v1/studies/{uid}").json()["tags"] == ["call the night doctor"]
    other = next(study for study in queries.studies(pages.database, now=MORNING) if study.study_instance_uid != uid)
    assert pages.client.get(f"/v1/studies/{other.study_instance_uid}").json()["tags"] == []
    assert "call the night doctor" not in pages.text(f"/studies/{other.study_instance_uid}")
