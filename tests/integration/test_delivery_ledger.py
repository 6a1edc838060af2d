"""The table `deliveries`: one row per revision, and one sender at a time."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import count

import pytest
from ledger_driver import SettableClock

from db import ledger, queries
from db.engine import Database
from db.queries import Delivery, DeliveryState

SENDERS, STUDIES = 4, 20
LEASE = timedelta(minutes=2)


class DeliveryDriver:
    """The delivery functions of the ledger for one study and one destination."""

    def __init__(self, database: Database, clock: SettableClock) -> None:
        self.database = database
        self.clock = clock
        self._numbers = count(1)

    def draft(self, content: str = "a", *, again: bool = False, study: str = "1.2") -> Delivery | None:
        """Draft the report to send now."""
        drafted = ledger.draft_delivery(
            self.database,
            study_instance_uid=study,
            destination="pacs",
            content=content,
            make_uid=lambda: f"2.25.{next(self._numbers)}",
            again=again,
            now=self.clock(),
        )
        return drafted[0] if drafted else None

    def take(self, delivery: Delivery, *, at_once: bool = False) -> bool:
        """Take the report, with a lease."""
        now = self.clock()
        return ledger.take_delivery(self.database, delivery, until=now + LEASE, at_once=at_once, now=now)

    def end(self, delivery: Delivery, state: DeliveryState, reason: str | None = None) -> None:
        """End the delivery."""
        ledger.end_delivery(self.database, delivery.id, state, reason=reason, detail=None, now=self.clock())

    def rows(self) -> list[tuple[str, str, str | None, str | None]]:
        """Return UID, state, reason and predecessor of all rows."""
        return [
            (row.sop_instance_uid, row.state, row.reason, row.replaces) for row in queries.deliveries(self.database)
        ]


@pytest.fixture
def delivery_driver(database: Database, clock: SettableClock) -> DeliveryDriver:
    """A driver, on each kind of database."""
    return DeliveryDriver(database, clock)


def sent(delivery_driver: DeliveryDriver, content: str, state: DeliveryState, reason: str | None = None) -> Delivery:
    """Take and end a new report."""
    delivery = delivery_driver.draft(content)
    assert delivery is not None
    assert delivery_driver.take(delivery)
    delivery_driver.end(delivery, state, reason)
    return delivery


def test_a_delivered_report_is_not_drafted_again(delivery_driver: DeliveryDriver) -> None:
    """If its content changed, the new row names the previous report."""
    sent(delivery_driver, "a", DeliveryState.DELIVERED)

    assert delivery_driver.draft("a") is None
    assert delivery_driver.draft("a", again=True) is None
    revision = delivery_driver.draft("b")
    assert revision is not None
    assert revision.replaces == "2.25.1"


def test_returning_to_earlier_content_is_a_revision_too(delivery_driver: DeliveryDriver) -> None:
    """After A and B, the destination has B, so A is sent again."""
    sent(delivery_driver, "a", DeliveryState.DELIVERED)
    sent(delivery_driver, "b", DeliveryState.DELIVERED)

    again = delivery_driver.draft("a")

    assert again is not None
    assert again.replaces == "2.25.2"


def test_a_failed_report_is_drafted_again_on_request(delivery_driver: DeliveryDriver) -> None:
    """It is a new instance without predecessor, since the destination has none."""
    sent(delivery_driver, "a", DeliveryState.FAILED, "source_gone")

    assert delivery_driver.draft("a") is None
    again = delivery_driver.draft("a", again=True)
    assert again is not None
    assert (again.sop_instance_uid, again.replaces) == ("2.25.2", None)


def test_an_unsent_draft_takes_newer_results(delivery_driver: DeliveryDriver) -> None:
    """The draft keeps its row and UID."""
    first = delivery_driver.draft("a")
    second = delivery_driver.draft("b")

    assert first is not None
    assert second is not None
    assert (second.id, second.sop_instance_uid, second.content) == (first.id, first.sop_instance_uid, "b")
    assert not delivery_driver.take(first)
    assert delivery_driver.take(second)


@pytest.mark.parametrize("reason", ["sending", "no_answer"])
def test_a_possibly_stored_report_is_overtaken(delivery_driver: DeliveryDriver, reason: str) -> None:
    """The same UID must not be used for other results: a revision names it."""
    first = delivery_driver.draft("a")
    assert first is not None
    assert delivery_driver.take(first)
    if reason != "sending":
        later = delivery_driver.clock() + LEASE
        ledger.put_off_delivery(delivery_driver.database, first, reason=reason, detail="", not_before=later)
    delivery_driver.clock.advance(minutes=3)

    delivery_driver.draft("b")

    assert delivery_driver.rows() == [("2.25.1", "failed", "overtaken", None), ("2.25.2", "waiting", None, "2.25.1")]


def test_a_late_success_counts(delivery_driver: DeliveryDriver) -> None:
    """A sender whose lease ended may still succeed: the store has the report."""
    first = delivery_driver.draft("a")
    assert first is not None
    assert delivery_driver.take(first)
    delivery_driver.clock.advance(minutes=3)
    delivery_driver.draft("b")

    delivery_driver.end(first, DeliveryState.DELIVERED)

    assert delivery_driver.rows()[0] == ("2.25.1", "delivered", None, None)


def test_a_dead_sender_keeps_the_report_until_its_lease_ends(delivery_driver: DeliveryDriver) -> None:
    """No other sender gets the report before, not even with `at_once`."""
    first = delivery_driver.draft()
    assert first is not None
    assert delivery_driver.take(first)
    assert not delivery_driver.take(first, at_once=True)

    delivery_driver.clock.advance(minutes=3)

    later = delivery_driver.draft()
    assert later is not None
    assert delivery_driver.take(later)
    assert [delivery.attempts for delivery in queries.deliveries(delivery_driver.database)] == [2]


def test_pauses_are_kept_unless_a_person_is_waiting(delivery_driver: DeliveryDriver) -> None:
    """The pause after a failed attempt is no lease."""
    first = delivery_driver.draft()
    assert first is not None
    assert delivery_driver.take(first)
    later = delivery_driver.clock() + timedelta(hours=1)
    ledger.put_off_delivery(delivery_driver.database, first, reason="unreachable", detail="", not_before=later)

    again = delivery_driver.draft()
    assert again is not None
    assert not delivery_driver.take(again)
    assert delivery_driver.take(again, at_once=True)


def test_a_sender_without_a_lease_cannot_postpone_a_report(delivery_driver: DeliveryDriver) -> None:
    """Another sender has the report: other results must not be sent under the same UID."""
    first = delivery_driver.draft("a")
    assert first is not None
    assert delivery_driver.take(first)
    delivery_driver.clock.advance(minutes=3)
    second = delivery_driver.draft("a")
    assert second is not None
    assert not delivery_driver.take(first)
    assert delivery_driver.take(second)

    ledger.put_off_delivery(
        delivery_driver.database, first, reason="unreachable", detail="", not_before=delivery_driver.clock()
    )

    in_hand = delivery_driver.draft("b")
    assert in_hand is not None
    assert (in_hand.id, in_hand.content, in_hand.reason) == (first.id, "a", "sending")


def test_many_senders_at_once_send_each_report_once(delivery_driver: DeliveryDriver) -> None:
    """They draft and take the same studies at the same time."""
    barrier = threading.Barrier(SENDERS)

    def run(_: int) -> int:
        taken = 0
        for study in range(STUDIES):
            barrier.wait()
            drafted = delivery_driver.draft(study=f"1.{study}")
            taken += drafted is not None and delivery_driver.take(drafted)
        return taken

    with ThreadPoolExecutor(SENDERS) as threads:
        taken = list(threads.map(run, range(SENDERS)))

    assert sum(taken) == STUDIES
    assert len(delivery_driver.rows()) == STUDIES
