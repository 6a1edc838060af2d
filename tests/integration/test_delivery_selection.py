"""The moment at which a study is ready, to the second, and the passes of the delivery loop."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone

import pytest
from analysed_studies import STUDY, AnalysedStudies
from fake_destination import PACS, FakeSender, failing, loop_of
from sqlalchemy import update
from sqlalchemy.exc import ProgrammingError

from db import ledger
from db.ledger import Expected
from db.tables import State, work
from delivery.delivery_loop import open_delivery_loop
from delivery.reasons import DeliveryReason, NotDelivered
from delivery.study_selection import Scope

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
OTHER = f"{STUDY}2"


class OnePass(threading.Event):
    """An event that ends the loop at its first pause, or at the second one."""

    def __init__(self, pauses: int = 1) -> None:
        super().__init__()
        self._left = pauses
        self.pauses: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        """Count this pause, and end the loop at the last one."""
        self.pauses.append(timeout)
        self._left -= 1
        if not self._left:
            self.set()
        return self.is_set()


def ready(studies: AnalysedStudies, scope: Scope | None = None) -> list[str]:
    """Return the studies that a new loop selects."""
    return loop_of(studies, FakeSender(), scope).ready()


def now(studies: AnalysedStudies) -> datetime:
    return studies.ledger_driver.clock()


def test_one_pass_sends_all_ready_reports(studies: AnalysedStudies) -> None:
    """The loop does not end at the first of them."""
    studies.add_study(study=OTHER)
    sender = FakeSender()
    loop_of(studies, sender).follow(OnePass())
    assert len(sender.reports) == 2


def test_the_loop_tries_a_failed_database_again_after_ten_seconds(studies: AnalysedStudies) -> None:
    """The pause is that between two passes, and the loop ends at once when it is told to."""
    loop = loop_of(studies, FakeSender())
    studies.ledger_driver.database.write(
        lambda connection: connection.exec_driver_sql("ALTER TABLE expected RENAME TO away")
    )
    stop = OnePass(pauses=3)
    loop.follow(stop)
    assert stop.pauses == [10.0, 10.0, 10.0]


def test_any_error_of_the_database_is_worth_another_pass(
    studies: AnalysedStudies, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only a lost connection: a statement may fail while the database is upgraded."""
    loop, errors = loop_of(studies, FakeSender()), iter([ProgrammingError("sql", {}, Exception())])

    def fail_once(*_: object) -> list[str]:
        for error in errors:
            raise error
        return []

    monkeypatch.setattr(loop.study_selector, "ready", fail_once)
    stop = OnePass(pauses=2)
    loop.follow(stop)
    assert stop.pauses == [10.0, 10.0]


def test_a_failed_report_is_not_sent_again_without_a_request(studies: AnalysedStudies) -> None:
    """The loop asks for nothing of the kind."""
    sender = failing(NotDelivered(DeliveryReason.NOT_UNDERSTOOD))
    loop = loop_of(studies, sender)
    assert [result is None for _ in range(2) for result in loop.deliver([STUDY])] == [False, True]
    assert len(sender.reports) == 1


@contextmanager
def opened(
    studies: AnalysedStudies, monkeypatch: pytest.MonkeyPatch, sender: FakeSender, **options: object
) -> Iterator[list[str]]:
    """Open a loop as `send-results` does, with a sender of the test; yield the states of its results."""

    @contextmanager
    def sender_to(_destination: object) -> Iterator[FakeSender]:
        yield sender

    monkeypatch.setattr("delivery.delivery_loop.sender_to", sender_to)
    driver = studies.ledger_driver
    with open_delivery_loop(studies.settings, driver.database, [PACS], Scope(), clock=driver.clock, **options) as loop:
        yield [result.state for result in loop.deliver(loop.ready()) if result]


def test_a_loop_passes_the_zone_on(studies: AnalysedStudies, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report has the local time of the site."""
    sender = FakeSender()
    moment = now(studies)
    with opened(studies, monkeypatch, sender, zone=timezone(timedelta(hours=9))) as found:
        assert found == ["delivered"]
    local = moment.astimezone(timezone(timedelta(hours=9)))
    assert sender.reports[0].ContentTime == f"{local:%H%M%S}"


def test_only_a_person_does_not_wait_for_the_pause(studies: AnalysedStudies, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `at_once`, a second attempt is made when it is due."""
    sender = failing(NotDelivered(DeliveryReason.BUSY))
    for options, attempts in (({}, 1), ({}, 1), ({"at_once": True}, 2)):
        with opened(studies, monkeypatch, sender, **options):
            assert len(sender.reports) == attempts


@pytest.mark.parametrize(("seconds", "found"), [(299, []), (300, [STUDY])])
def test_a_quiet_study_is_ready_after_its_time(studies: AnalysedStudies, seconds: int, found: list[str]) -> None:
    """`deliver_after_seconds` after the arrival of its last image."""
    studies.settings_given["deliver_after_seconds"] = 300
    studies.ledger_driver.clock.advance(seconds=seconds)
    assert ready(studies) == found


@pytest.mark.parametrize(
    ("quiet", "patience", "seconds", "found"),
    [(300, 600, 599, []), (300, 600, 600, [STUDY]), (300, 60, 299, []), (300, 60, 300, [STUDY])],
)
def test_unread_images_nearby_are_waited_for_with_patience(
    studies: AnalysedStudies, quiet: int, patience: int, seconds: int, found: list[str]
) -> None:
    """`retry_patience_seconds`, but at least `deliver_after_seconds`."""
    studies.settings_given |= {"deliver_after_seconds": quiet, "retry_patience_seconds": patience}
    studies.register(studies.write_scan(study=OTHER))
    studies.ledger_driver.clock.advance(seconds=seconds)
    assert ready(studies) == found


def expect(studies: AnalysedStudies, images: int, *, study: str = STUDY) -> None:
    """Store the number of images that a manifest names."""
    driver = studies.ledger_driver
    row = Expected(study_instance_uid=study, source_id=driver.source_id, reported_by="manifest", images=images)
    ledger.expect(driver.database, [row], now=driver.clock())


@pytest.mark.parametrize(("expected", "found"), [(1, [STUDY]), (2, [])])
def test_a_study_with_all_its_images_does_not_wait(studies: AnalysedStudies, expected: int, found: list[str]) -> None:
    """A study that lacks one waits as if no number was known."""
    studies.settings_given["deliver_after_seconds"] = 300
    expect(studies, expected)
    assert ready(studies) == found


def test_a_study_that_a_user_names_waits_for_its_own_images_only(studies: AnalysedStudies) -> None:
    """An image of the study that is not analysed yet would be missing in the report."""
    studies.settings_given["deliver_after_seconds"] = 300
    named = Scope(study_instance_uid=STUDY)
    studies.register(studies.write_scan(study=OTHER))
    assert ready(studies, named) == [STUDY]


@pytest.mark.parametrize("unknown", ["1.2.3", ""])
def test_an_unknown_study_is_never_ready(studies: AnalysedStudies, unknown: str) -> None:
    """A user may mistype its UID, or give none."""
    assert ready(studies, Scope(study_instance_uid=unknown)) == []


def test_a_number_of_images_alone_is_no_study(studies: AnalysedStudies) -> None:
    """A manifest may name a study of which no image has arrived."""
    expect(studies, 1, study="1.2.3")
    assert ready(studies, Scope(study_instance_uid="1.2.3")) == []


@pytest.mark.parametrize("scope", [Scope(), Scope(study_instance_uid=STUDY)])
def test_a_study_with_an_unfinished_image_is_never_ready(studies: AnalysedStudies, scope: Scope) -> None:
    """Neither if all its images have arrived, nor if a user names it."""
    studies.add_study()
    expect(studies, 2)
    assert ready(studies, scope) == [STUDY]
    database = studies.ledger_driver.database
    database.write(
        lambda connection: connection.execute(update(work).where(work.c.id == 2).values(state=State.RECEIVED))
    )
    assert ready(studies, scope) == []


@pytest.mark.parametrize(("hours", "found"), [(47, [STUDY]), (49, [])])
def test_an_empty_scope_covers_the_days_of_the_settings(studies: AnalysedStudies, hours: int, found: list[str]) -> None:
    """Here two days."""
    studies.settings_given["deliver_days"] = 2
    studies.ledger_driver.clock.advance(hours=hours)
    assert ready(studies) == found


def test_a_scope_ends_at_its_time(studies: AnalysedStudies) -> None:
    """`until` is excluded."""
    first = now(studies)
    studies.ledger_driver.clock.advance(seconds=60)
    studies.add_study(study=OTHER)
    scope = Scope(since=first - timedelta(seconds=1), until=first + timedelta(seconds=60))
    assert ready(studies, scope) == [STUDY]
    assert ready(studies, Scope(since=first + timedelta(seconds=1))) == [OTHER]


def test_a_later_selection_does_not_begin_before_its_scope(studies: AnalysedStudies) -> None:
    """The overlap of a minute does not reach behind `since`."""
    studies.ledger_driver.clock.advance(seconds=30)
    loop = loop_of(studies, FakeSender(), Scope(since=now(studies)))
    assert (loop.ready(), loop.ready()) == ([], [])


def test_a_study_is_selected_once_whatever_selects_it(studies: AnalysedStudies) -> None:
    """It waits for its report, and it has new outcomes."""
    loop = loop_of(studies, failing(NotDelivered(DeliveryReason.BUSY)))
    list(loop.deliver(loop.ready()))
    assert loop.ready() == [STUDY]
