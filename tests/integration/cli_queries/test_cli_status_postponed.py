"""`nightread status` leaves images that wait for a later time out of its forecast."""

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from ledger_driver import LedgerDriver, SettableClock, build_outcome

from cli import status
from db import queries
from db.engine import Database
from db.ledger import Arrival
from db.tables import State
from nightread.reasons import Reason

MakeArrivals = Callable[..., list[Arrival]]
Nightread = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _standing_clock(clock: SettableClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `status` read the time of the test."""
    monkeypatch.setattr(status, "utc_now", clock)


def _one_truncated(ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, **waits: float) -> None:
    ledger_driver.register(make_arrivals(1))
    ledger_driver.analyse_all(
        state=State.RECEIVED,
        reason=Reason.STILL_ARRIVING,
        uncounted=True,
        not_before=ledger_driver.clock() + timedelta(**waits),
    )


def test_the_forecast_leaves_out_what_waits_and_says_until_when(
    nightread: Nightread, ledger_driver: LedgerDriver, make_arrivals: MakeArrivals
) -> None:
    """129 images were done; the truncated one is retried at 23:00:20, and given up 300 s after it arrived."""
    ledger_driver.register(make_arrivals(129))
    ledger_driver.analyse_all(content=None)
    _one_truncated(ledger_driver, make_arrivals, seconds=20)
    ledger_driver.clock.advance(seconds=1)

    text, document = nightread("status")[1], json.loads(nightread("status", "--json")[1])

    assert "No image is ready: each image that arrived has an outcome or waits for its next attempt." in text
    assert "1 image waits (still_arriving): next attempt at 23:00:20, until 23:05:00 at the latest." in text
    assert "all will be done" not in text
    assert (document["eta_seconds"], document["done_by"], document["waiting"]) == (None, None, 1)
    assert document["postponed"] == [
        {
            "reason": "still_arriving",
            "images": 1,
            "next_at": "2026-11-05T22:00:20+00:00",
            "until": "2026-11-05T22:05:00+00:00",
        }
    ]


@pytest.mark.parametrize(
    "reason", [Reason.NO_ROOM, Reason.SOURCE_GONE, Reason.STORE_UNAVAILABLE, Reason.UNREADABLE], ids=str
)
def test_what_waits_by_itself_needs_no_command(
    nightread: Nightread, ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, reason: Reason
) -> None:
    """Only those that have failed are retried by a person."""
    ledger_driver.register(make_arrivals(1))
    later = ledger_driver.clock() + timedelta(seconds=20)
    ledger_driver.analyse_all(state=State.RECEIVED, reason=reason, uncounted=True, not_before=later)
    text = " ".join(nightread("status")[1].split())
    assert f"1 image waits ({reason}): next attempt at 23:00:20. {reason.message}" in text
    assert "go" in reason.message.partition("waiting ")[2].partition("failed")[0]
    assert "then run `nightread retry`" not in text


def test_the_forecast_counts_only_images_that_are_ready(
    nightread: Nightread, ledger_driver: LedgerDriver, make_arrivals: MakeArrivals
) -> None:
    """At 4 images per second, 2 ready images take half a second, whatever waits for a later time."""
    ledger_driver.register(make_arrivals(40))
    (batch,) = ledger_driver.form()
    claimed = ledger_driver.claim(batch)
    ledger_driver.clock.advance(seconds=10)
    ledger_driver.record(batch, [build_outcome(image) for image in claimed])
    _one_truncated(ledger_driver, make_arrivals, seconds=200)
    ledger_driver.register(make_arrivals(2))

    document = json.loads(nightread("status", "--json")[1])

    assert document["waiting"] == 3
    assert document["eta_seconds"] == pytest.approx(0.5, abs=0.02)


def test_images_are_grouped_by_reason_and_ready_images_are_left_out(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, database: Database
) -> None:
    """Without a file that is still arriving there is no end; a time that has passed no longer counts."""
    for reason, number, seconds in (
        (Reason.SOURCE_GONE, 3, 60),
        (Reason.STILL_ARRIVING, 1, 40),
        (Reason.IO_ERROR, 1, 5),
    ):
        ledger_driver.register(make_arrivals(number))
        later = ledger_driver.clock() + timedelta(seconds=seconds)
        ledger_driver.analyse_all(state=State.RECEIVED, reason=reason, not_before=later)
    now = ledger_driver.clock.advance(seconds=10)

    found = queries.postponed(database, now=now, arrival_timeout=timedelta(seconds=300))

    began = now - timedelta(seconds=10)
    assert [(group.reason, group.images, group.next_at - began, group.until) for group in found] == [
        ("source_gone", 3, timedelta(seconds=60), None),
        ("still_arriving", 1, timedelta(seconds=40), began + timedelta(seconds=300)),
    ]
