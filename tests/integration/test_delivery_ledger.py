"""Rows of deliveries: one per revision, one sender at a time."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import count

import pytest
from night import SettableClock

from db import ledger, queries
from db.engine import Database
from db.queries import Delivery, DeliveryState

SENDERS, STUDIES = 4, 20
LEASE = timedelta(minutes=2)


class Post:
    """The ledger's verbs for one study and destination."""

    def __init__(self, database: Database, clock: SettableClock) -> None:
        self.database = database
        self.clock = clock
        self._numbers = count(1)

    def draft(self, content: str = "a", *, again: bool = False, study: str = "1.2") -> Delivery | None:
        """The report to send now."""
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
        """Become its sender."""
        now = self.clock()
        return ledger.take_delivery(self.database, delivery, until=now + LEASE, at_once=at_once, now=now)

    def end(self, delivery: Delivery, state: DeliveryState, reason: str | None = None) -> None:
        """Its fate."""
        ledger.end_delivery(self.database, delivery.id, state, reason=reason, detail=None, now=self.clock())

    def rows(self) -> list[tuple[str, str, str | None, str | None]]:
        """UID, state, reason and predecessor of all."""
        return [
            (row.sop_instance_uid, row.state, row.reason, row.replaces) for row in queries.deliveries(self.database)
        ]


@pytest.fixture
def post(database: Database, clock: SettableClock) -> Post:
    """On each database."""
    return Post(database, clock)


def sent(post: Post, content: str, state: DeliveryState, reason: str | None = None) -> Delivery:
    """One that was tried and met this end."""
    delivery = post.draft(content)
    assert delivery is not None
    assert post.take(delivery)
    post.end(delivery, state, reason)
    return delivery


def test_what_was_delivered_is_not_drafted_again(post: Post) -> None:
    """Unless its content changed: then the row names the one before."""
    sent(post, "a", DeliveryState.DELIVERED)

    assert post.draft("a") is None
    assert post.draft("a", again=True) is None
    revision = post.draft("b")
    assert revision is not None
    assert revision.replaces == "2.25.1"


def test_back_to_what_was_said_before_is_a_revision_too(post: Post) -> None:
    """A, then B, then A: the destination has B by then."""
    sent(post, "a", DeliveryState.DELIVERED)
    sent(post, "b", DeliveryState.DELIVERED)

    again = post.draft("a")

    assert again is not None
    assert again.replaces == "2.25.2"


def test_what_failed_is_tried_again_when_somebody_says_so(post: Post) -> None:
    """As a new instance, without predecessor: the destination never had one."""
    sent(post, "a", DeliveryState.FAILED, "source_gone")

    assert post.draft("a") is None
    again = post.draft("a", again=True)
    assert again is not None
    assert (again.sop_instance_uid, again.replaces) == ("2.25.2", None)


def test_what_was_never_sent_takes_on_newer_results(post: Post) -> None:
    """It keeps its row and UID."""
    first = post.draft("a")
    second = post.draft("b")

    assert first is not None
    assert second is not None
    assert (second.id, second.sop_instance_uid, second.content) == (first.id, first.sop_instance_uid, "b")
    assert not post.take(first)
    assert post.take(second)


@pytest.mark.parametrize("reason", ["sending", "no_answer"])
def test_what_may_have_been_taken_is_overtaken(post: Post, reason: str) -> None:
    """The same UID must not come to mean something else: a revision names it."""
    first = post.draft("a")
    assert first is not None
    assert post.take(first)
    if reason != "sending":
        later = post.clock() + LEASE
        ledger.put_off_delivery(post.database, first, reason=reason, detail="", not_before=later)
    post.clock.advance(minutes=3)

    post.draft("b")

    assert post.rows() == [("2.25.1", "failed", "overtaken", None), ("2.25.2", "waiting", None, "2.25.1")]


def test_a_late_success_counts(post: Post) -> None:
    """Who was taken for dead and was not: the store has it."""
    first = post.draft("a")
    assert first is not None
    assert post.take(first)
    post.clock.advance(minutes=3)
    post.draft("b")

    post.end(first, DeliveryState.DELIVERED)

    assert post.rows()[0] == ("2.25.1", "delivered", None, None)


def test_a_dead_sender_holds_it_for_the_length_of_its_lease(post: Post) -> None:
    """Nobody else gets it before, not even at once."""
    first = post.draft()
    assert first is not None
    assert post.take(first)
    assert not post.take(first, at_once=True)

    post.clock.advance(minutes=3)

    later = post.draft()
    assert later is not None
    assert post.take(later)
    assert [delivery.attempts for delivery in queries.deliveries(post.database)] == [2]


def test_pauses_are_kept_unless_a_person_waits(post: Post) -> None:
    """The pause after a try that failed is no lease."""
    first = post.draft()
    assert first is not None
    assert post.take(first)
    later = post.clock() + timedelta(hours=1)
    ledger.put_off_delivery(post.database, first, reason="unreachable", detail="", not_before=later)

    again = post.draft()
    assert again is not None
    assert not post.take(again)
    assert post.take(again, at_once=True)


def test_who_was_taken_for_dead_puts_nothing_off(post: Post) -> None:
    """Another one is sending it by then: what it may be told meanwhile must not go under the same UID."""
    first = post.draft("a")
    assert first is not None
    assert post.take(first)
    post.clock.advance(minutes=3)
    second = post.draft("a")
    assert second is not None
    assert not post.take(first)
    assert post.take(second)

    ledger.put_off_delivery(post.database, first, reason="unreachable", detail="", not_before=post.clock())

    in_hand = post.draft("b")
    assert in_hand is not None
    assert (in_hand.id, in_hand.content, in_hand.reason) == (first.id, "a", "sending")


def test_many_senders_at_once_send_each_report_once(post: Post) -> None:
    """They draft and take the same studies in the same moment."""
    barrier = threading.Barrier(SENDERS)

    def run(_: int) -> int:
        taken = 0
        for study in range(STUDIES):
            barrier.wait()
            drafted = post.draft(study=f"1.{study}")
            taken += drafted is not None and post.take(drafted)
        return taken

    with ThreadPoolExecutor(SENDERS) as threads:
        taken = list(threads.map(run, range(SENDERS)))

    assert sum(taken) == STUDIES
    assert len(post.rows()) == STUDIES
