"""Passes of the delivery loop, with a destination that a test defines."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from analysed_studies import STUDY, AnalysedStudies, states
from dicom_peers import free_port
from fake_destination import FakeSender, failing, loop_of
from pydicom.dataset import Dataset
from report_destinations import accepting_destination, cstore_destination, cstore_settings, stow_server

from delivery.reasons import DeliveryReason, NotDelivered
from delivery.study_selection import Scope
from nightread.sources import StowDestination

pytestmark = [
    pytest.mark.parametrize("database", ["sqlite"], indirect=True),
    # pynetdicom 3.0.4 leaves the socket of a connection that was refused to the garbage collector.
    pytest.mark.usefixtures("collect_garbage"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"),
]


class Passes(threading.Event):
    """An event that ends the loop after some passes, and does something between them."""

    def __init__(self, number: int, between: Callable[[int], object] = lambda _number: None) -> None:
        super().__init__()
        self._number = number
        self._between = between
        self.pauses: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        """Count the pass before this pause."""
        self.pauses.append(timeout)
        self._between(len(self.pauses))
        return len(self.pauses) == self._number


def test_a_loop_that_begins_with_nothing_to_send_goes_on(studies: AnalysedStudies) -> None:
    """A study that is ready in the second pass is sent in it; the passes are ten seconds apart."""
    studies.settings_given["deliver_after_seconds"] = 60
    sender = FakeSender()
    passes = Passes(3, lambda number: studies.ledger_driver.clock.advance(seconds=61 if number == 1 else 0))
    loop_of(studies, sender).follow(passes)
    assert len(sender.reports) == 1
    assert passes.pauses == [10.0, 10.0, 10.0]


def test_an_empty_pass_forgets_that_a_destination_was_down(studies: AnalysedStudies) -> None:
    """The next pass with a report asks the destination again."""
    sender = failing(NotDelivered(DeliveryReason.UNREACHABLE))
    delivery_loop = loop_of(studies, sender)
    list(delivery_loop.deliver([STUDY]))
    list(delivery_loop.deliver([]))
    studies.ledger_driver.clock.advance(seconds=10)
    sender.act = lambda _report: None
    assert [one.state for one in delivery_loop.deliver([STUDY]) if one] == ["delivered"]


def test_a_destination_that_is_back_is_asked_in_the_next_pass(studies: AnalysedStudies) -> None:
    """The loop is the same: only the pass is new."""
    studies.add_study(study=f"{STUDY}2")
    sender = failing(NotDelivered(DeliveryReason.UNREACHABLE))
    delivery_loop = loop_of(studies, sender)
    assert [one.reason for one in delivery_loop.deliver(delivery_loop.ready()) if one] == ["unreachable", None]
    assert len(sender.reports) == 1
    studies.ledger_driver.clock.advance(seconds=10)
    sender.act = lambda _report: None
    assert [one.state for one in delivery_loop.deliver(delivery_loop.ready()) if one] == ["delivered"] * 2


@pytest.mark.parametrize(("reason", "asked"), [("BUSY", 2), ("NO_ANSWER", 2), ("UNREACHABLE", 1), ("REFUSED", 1)])
def test_only_a_destination_that_is_down_is_left_alone_for_the_pass(
    studies: AnalysedStudies, reason: str, asked: int
) -> None:
    """A busy destination may take the next report."""
    studies.add_study(study=f"{STUDY}2")
    sender = failing(NotDelivered(DeliveryReason[reason]))
    delivery_loop = loop_of(studies, sender)
    list(delivery_loop.deliver(delivery_loop.ready()))
    assert len(sender.reports) == asked


def test_a_waiting_report_is_selected_however_old_it_is(studies: AnalysedStudies) -> None:
    """Also if another destination has the report. A time given by a user excludes it."""
    studies.settings_given["retry_patience_seconds"] = 30 * 24 * 3600
    down = cstore_settings(free_port(), name="down")
    with accepting_destination() as (store, _):
        assert states(studies.send(store, down)) == [("delivered", None), ("waiting", "unreachable")]
        studies.ledger_driver.clock.advance(days=20)
        since = Scope(since=studies.ledger_driver.clock() - timedelta(days=1))
        assert studies.send(store, down, scope=since) == []
        assert states(studies.send(store, down)) == [("waiting", "unreachable")]


def test_a_study_that_became_ready_is_no_longer_counted_as_unready(studies: AnalysedStudies) -> None:
    """The count is that of the latest pass."""
    studies.settings_given["deliver_after_seconds"] = 300
    delivery_loop = loop_of(studies, FakeSender())
    assert (delivery_loop.ready(), delivery_loop.study_selector.unready) == ([], 1)
    studies.ledger_driver.clock.advance(seconds=300)
    assert (delivery_loop.ready(), delivery_loop.study_selector.unready) == ([STUDY], 0)
    assert (delivery_loop.ready(), delivery_loop.study_selector.unready) == ([], 0)


def test_successive_selections_overlap_by_a_minute(studies: AnalysedStudies) -> None:
    """An outcome is committed a little later than its time says, and clocks differ."""
    delivery_loop = loop_of(studies, FakeSender())
    assert delivery_loop.ready() == [STUDY]
    studies.ledger_driver.clock.advance(seconds=59)
    assert delivery_loop.ready() == [STUDY]
    studies.ledger_driver.clock.advance(seconds=59)
    assert delivery_loop.ready() == [STUDY]
    studies.ledger_driver.clock.advance(seconds=1)
    assert delivery_loop.ready() == []


def test_the_loop_ends_between_two_reports(studies: AnalysedStudies) -> None:
    """A signal to stop does not wait for all reports of the pass."""
    studies.add_study(study=f"{STUDY}2")
    passes = Passes(1)

    def stop(_report: Dataset) -> None:
        passes.set()

    sender = FakeSender(act=stop)
    loop_of(studies, sender).follow(passes)
    assert len(sender.reports) == 1


def test_a_store_that_ends_the_association_is_asked_in_a_new_one(studies: AnalysedStudies) -> None:
    """The second report of a loop needs no restart."""
    with cstore_destination() as (store, received), studies.delivery_loop(store) as delivery_loop:
        list(delivery_loop.deliver(delivery_loop.ready()))
        delivery = delivery_loop._report_deliveries[0][1]
        delivery._objects.sender._sender._association.abort()  # type: ignore[attr-defined]
        studies.add_study(study=f"{STUDY}2")
        assert [one.state for one in delivery_loop.deliver(delivery_loop.ready()) if one] == ["delivered"]
    assert len(received) == 2


@pytest.mark.parametrize(
    ("status", "end"),
    [
        (403, ("waiting", "refused")),
        (404, ("waiting", "refused")),
        (406, ("failed", "not_supported")),
        (408, ("waiting", "no_answer")),
        (425, ("waiting", "busy")),
        (502, ("waiting", "no_answer")),
        (507, ("waiting", "busy")),
        (500, ("waiting", "busy")),
        (400, ("failed", "not_understood")),
        (299, ("delivered", None)),
    ],
)
def test_the_other_http_statuses_have_their_results(
    studies: AnalysedStudies, status: int, end: tuple[str, str | None]
) -> None:
    """Each limit between two kinds of statuses has a case on both sides."""
    with stow_server(status) as (url, _):
        (result,) = studies.send(StowDestination(name="web", url=url))
    assert states([result]) == [end]
    assert result.detail == (None if status == 299 else f"The destination returned status {status}.")
