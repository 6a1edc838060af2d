"""Deliveries of reports change exactly the rows and values that they name."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count

import pytest
from ledger_driver import SettableClock

from db import ledger, queries
from db.engine import Database
from db.ledger import end_delivery, hold_deliveries, postpone_delivery
from db.queries import Delivery, DeliveryState

SECOND = timedelta(seconds=1)
LONG = "x" * 501


class Reports:
    """Reports of the study 1.2 for the destination `pacs`, and of others where a test names them."""

    def __init__(self, database: Database, clock: SettableClock) -> None:
        self.database = database
        self.clock = clock
        self._uids: Iterator[int] = count(1)

    def draft(
        self, content: str = "a", *, study: str = "1.2", destination: str = "pacs", again: bool = False
    ) -> tuple[Delivery, int]:
        """Return the report to send now, and its number."""
        drafted = ledger.draft_delivery(
            self.database,
            study_instance_uid=study,
            destination=destination,
            content=content,
            make_uid=lambda: f"2.25.{next(self._uids)}",
            again=again,
            now=self.clock(),
        )
        assert drafted is not None
        return drafted

    def claim(self, delivery: Delivery, *, until: datetime | None = None, at_once: bool = False) -> bool:
        """Claim a report, for two minutes unless `until` is given."""
        now = self.clock()
        until = until or now + 120 * SECOND
        return ledger.claim_delivery(self.database, delivery, until=until, at_once=at_once, now=now)

    def claimed(self, content: str = "a", **where: str) -> Delivery:
        """Draft and claim a report."""
        delivery, _ = self.draft(content, **where)  # type: ignore[arg-type]
        assert self.claim(delivery)
        return delivery

    def end(self, delivery: Delivery, state: DeliveryState, reason: str | None = None) -> None:
        """End a delivery."""
        end_delivery(self.database, delivery.id, state, reason=reason, detail="d", now=self.clock())

    def rows(self) -> list[Delivery]:
        """Return all deliveries, oldest first."""
        return sorted(queries.deliveries(self.database), key=lambda row: row.id)


@pytest.fixture
def reports(database: Database, clock: SettableClock) -> Reports:
    """No report yet, on each kind of database."""
    return Reports(database, clock)


def test_a_draft_has_all_of_its_values(reports: Reports) -> None:
    """No attempt was made, and nothing is said of it."""
    began = reports.clock()
    delivery, number = reports.draft()
    assert number == 1
    assert (delivery.study_instance_uid, delivery.destination, delivery.content) == ("1.2", "pacs", "a")
    assert (delivery.sop_instance_uid, delivery.replaces, delivery.state) == ("2.25.1", None, "waiting")
    assert (delivery.attempts, delivery.reason, delivery.detail) == (0, None, None)
    assert (delivery.created_at, delivery.not_before, delivery.finished_at) == (began, None, None)


def test_reports_of_other_studies_and_destinations_are_not_revisions(reports: Reports) -> None:
    """Each study has its own numbers at each destination."""
    reports.end(reports.claimed(), DeliveryState.DELIVERED)
    assert reports.draft("b")[1] == 2
    assert [reports.draft(study="1.3")[1], reports.draft(destination="web")[1]] == [1, 1]
    assert [row.replaces for row in reports.rows()] == [None, "2.25.1", None, None]


def test_a_waiting_report_keeps_its_number(reports: Reports) -> None:
    """With the same content, and with newer results that nobody has seen."""
    reports.end(reports.claimed("a"), DeliveryState.DELIVERED)
    second, number = reports.draft("b")
    assert number == 2
    other, _ = reports.draft("b", study="1.3")
    assert reports.draft("b") == (second, 2)
    changed, number = reports.draft("c")
    assert (changed.id, changed.content, number) == (second.id, "c", 2)
    assert reports.rows()[-1] == other


def test_a_claim_has_a_lease_and_counts_an_attempt(reports: Reports) -> None:
    """Another report stays as it is."""
    first, _ = reports.draft()
    other, _ = reports.draft(study="1.3")
    until = reports.clock() + timedelta(minutes=7)
    assert reports.claim(first, until=until)
    row, same = reports.rows()
    assert (row.attempts, row.reason, row.not_before) == (1, "sending", until)
    assert row.detail == "The report is being sent, or the sending process died."
    assert same == other


def test_a_report_is_due_when_its_pause_ends(reports: Reports) -> None:
    """Not a second earlier."""
    delivery = reports.claimed()
    due = reports.clock() + 60 * SECOND
    postpone_delivery(reports.database, delivery, reason="busy", detail=LONG, not_before=due)
    waiting, _ = reports.draft()
    assert (waiting.reason, waiting.detail, waiting.not_before) == ("busy", "x" * 500, due)
    reports.clock.advance(seconds=59)
    assert not reports.claim(waiting)
    reports.clock.advance(seconds=1)
    assert reports.claim(waiting)


def test_a_report_that_ended_cannot_be_claimed_or_postponed(reports: Reports) -> None:
    """A sender that is late finds it delivered."""
    delivery = reports.claimed()
    claimed = reports.rows()[0]
    reports.end(delivery, DeliveryState.DELIVERED)
    (ended,) = reports.rows()
    assert not reports.claim(claimed, at_once=True)
    postpone_delivery(reports.database, delivery, reason="busy", detail="", not_before=reports.clock())
    assert reports.rows() == [ended]


def test_only_the_report_that_was_claimed_is_postponed(reports: Reports) -> None:
    """Another one that was claimed as well keeps its lease."""
    one, _two = reports.claimed(), reports.claimed(study="1.3")
    before = reports.rows()[1]
    postpone_delivery(reports.database, one, reason="busy", detail="", not_before=reports.clock())
    assert [row.reason for row in reports.rows()] == ["busy", "sending"]
    assert reports.rows()[1] == before


def test_a_report_in_hand_keeps_its_content_until_its_lease_ends(reports: Reports) -> None:
    """At the very end of the lease the sender counts as dead: the newer results are a revision."""
    claimed = reports.claimed("a")
    reports.clock.advance(seconds=119)
    same, number = reports.draft("b")
    assert (same.id, same.content, number) == (claimed.id, "a", 1)
    reports.clock.advance(seconds=1)
    revision, number = reports.draft("b")
    assert (revision.replaces, revision.content, number) == ("2.25.1", "b", 2)
    overtaken = reports.rows()[0]
    assert (overtaken.state, overtaken.reason, overtaken.not_before) == ("failed", "overtaken", None)
    assert overtaken.finished_at == reports.clock()
    assert overtaken.detail == (
        "The results changed before the destination confirmed the report: a revision replaces it."
    )


def test_a_pause_is_no_lease(reports: Reports) -> None:
    """A report that was refused takes newer results before its next attempt; another one is not touched."""
    delivery, other = reports.claimed("a"), reports.claimed("a", study="1.3")
    later = reports.clock() + timedelta(hours=1)
    postpone_delivery(reports.database, delivery, reason="busy", detail="", not_before=later)
    changed, number = reports.draft("b")
    assert (changed.id, changed.content, number) == (delivery.id, "b", 1)
    assert [(row.id, row.content) for row in reports.rows()] == [(delivery.id, "b"), (other.id, "a")]


def test_only_the_overtaken_report_ends(reports: Reports) -> None:
    """A report of another study that may be stored as well still waits."""
    for study in ("1.2", "1.3"):
        reports.claimed(study=study)
    reports.clock.advance(minutes=3)
    reports.draft("b")
    assert [row.state for row in reports.rows()] == ["failed", "waiting", "waiting"]


def test_a_revision_names_the_latest_report_that_the_destination_may_have(reports: Reports) -> None:
    """Failed reports are none of them, unless they may have been stored."""
    reports.end(reports.claimed("a"), DeliveryState.DELIVERED)
    reports.end(reports.claimed("b"), DeliveryState.FAILED, "no_answer")
    assert reports.rows()[1].replaces == "2.25.1"
    reports.end(reports.claimed("c"), DeliveryState.FAILED, "not_understood")
    assert reports.rows()[2].replaces == "2.25.2"
    assert reports.draft("d")[0].replaces == "2.25.2"


def test_a_failed_report_with_other_results_is_followed_by_a_revision(reports: Reports) -> None:
    """Without any request; the same results need one."""
    reports.end(reports.claimed("a"), DeliveryState.FAILED, "not_understood")
    assert reports.draft("a", again=True)[1] == 2
    assert reports.draft("b")[1] == 2


@pytest.mark.parametrize(("detail", "kept"), [(None, None), ("", ""), ("short", "short"), (LONG, "x" * 500)])
def test_an_ended_report_says_when_and_why(reports: Reports, detail: str | None, kept: str | None) -> None:
    """Nothing remains of its lease, and a report of another study waits on."""
    delivery, _other = reports.claimed(), reports.claimed(study="1.3")
    before = reports.rows()[1]
    now = reports.clock.advance(seconds=5)
    end_delivery(reports.database, delivery.id, DeliveryState.FAILED, reason="busy", detail=detail, now=now)
    row, same = reports.rows()
    assert (row.state, row.reason, row.detail) == ("failed", "busy", kept)
    assert (row.finished_at, row.not_before) == (now, None)
    assert same == before


def test_a_failure_does_not_end_what_has_ended(reports: Reports) -> None:
    """A sender that is late must not take back a success; a late success counts."""
    delivery = reports.claimed()
    reports.end(delivery, DeliveryState.DELIVERED)
    reports.end(delivery, DeliveryState.FAILED, "no_answer")
    assert [(row.state, row.reason) for row in reports.rows()] == [("delivered", None)]
    other = reports.claimed(study="1.3")
    reports.end(other, DeliveryState.FAILED, "no_answer")
    reports.end(other, DeliveryState.DELIVERED)
    assert [row.state for row in reports.rows()] == ["delivered", "delivered"]


def test_reports_are_held_while_nothing_can_be_sent_to_their_destination(reports: Reports) -> None:
    """Those of other destinations, those that ended and those that may be stored keep their reason and time."""
    began = reports.clock()
    reports.draft()
    busy = reports.claimed(study="1.3")
    postpone_delivery(reports.database, busy, reason="busy", detail="", not_before=began)
    reports.draft(destination="web")
    reports.claimed(study="1.4")
    reports.end(reports.claimed(study="1.5"), DeliveryState.FAILED, "busy")
    now = reports.clock.advance(hours=1)
    hold_deliveries(reports.database, "pacs", reason="certificates", detail=LONG, now=now)
    assert [(row.reason, row.created_at) for row in reports.rows()] == [
        ("certificates", now),
        ("certificates", now),
        (None, began),
        ("sending", began),
        ("busy", began),
    ]
    assert [row.detail for row in reports.rows()[:2]] == ["x" * 500] * 2
