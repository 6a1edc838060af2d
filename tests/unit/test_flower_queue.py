"""The line on every page of Flower says the worst that the report of the dispatcher holds."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from redis import Redis

from cli.embedded.flower_queue import BAD, GOOD, WARNING, read_view, view_of
from nightread.queue_report import AgedReport, PauseReport, QueueReport

SINCE = datetime(2026, 11, 28, 22, 10, tzinfo=UTC)
BUSY = QueueReport(
    waiting=2501,
    postponed=3,
    in_batches=96,
    batches_published=2,
    batches_claimed=4,
    processes=4,
    pauses=(),
    next_seconds=4,
)
BY_PERSON = PauseReport(cause="person", source_id=None, since=SINCE)
OF_SOURCE = PauseReport(cause="breaker", source_id=7, since=SINCE)
NUMBERS = "2,498 images wait for a batch, 3 for a later time, 96 in batches"


@pytest.mark.parametrize(
    ("report", "age", "level", "line"),
    [
        (BUSY, 2, GOOD, f"Dispatch is running: {NUMBERS}."),
        (
            replace(BUSY, pauses=(OF_SOURCE, BY_PERSON)),
            2,
            BAD,
            f"Dispatch is PAUSED since Sat 22:10 UTC by a person: {NUMBERS}.",
        ),
        (replace(BUSY, pauses=(OF_SOURCE,)), 2, WARNING, f"1 source is PAUSED; all other sources continue: {NUMBERS}."),
        (replace(BUSY, processes=0), 2, BAD, f"No worker is alive: {NUMBERS}."),
        (
            replace(BUSY, processes=0, waiting=0, postponed=0, in_batches=0),
            2,
            WARNING,
            "No worker is alive: 0 images wait for a batch, 0 in batches.",
        ),
        (
            replace(BUSY, pauses=(BY_PERSON,)),
            200,
            BAD,
            f"The dispatcher has been silent for 3 min 20 s: no batch is formed. Last known: {NUMBERS}.",
        ),
        (replace(BUSY, next_seconds=100), 200, GOOD, f"Dispatch is running: {NUMBERS}."),
    ],
)
def test_the_line_says_the_worst(report: QueueReport, age: float, level: str, line: str) -> None:
    """A silent dispatcher comes before a pause, and a pause before a missing worker."""
    view = view_of(AgedReport(report, age))
    assert (view.level, view.line) == (level, line)
    assert bool(view.next_step) == (level != GOOD)


def test_a_dispatcher_that_never_reported_is_named() -> None:
    """An empty Redis is no reason to be green."""
    assert (view_of(None).level, view_of(None).line) == (
        BAD,
        "No dispatcher has reported: images that arrive stay in the database.",
    )


def test_the_page_lists_pauses_by_the_id_of_the_source() -> None:
    """The name of a source may be a path."""
    facts = view_of(AgedReport(replace(BUSY, pauses=(OF_SOURCE,)), 2)).facts
    assert ("Paused", "the source with id 7, by the circuit breaker, since 2026-11-28 22:10 UTC") in facts
    assert ("Batches in the queue", "2") in facts


def test_without_redis_the_line_says_so() -> None:
    """Flower's own pages would show the last state for ever."""
    view = read_view(Redis(port=1, socket_connect_timeout=1))
    assert (view.level, view.line) == (BAD, "Redis does not answer: nothing on these pages is current.")


def test_a_report_survives_json() -> None:
    """The times keep their zone."""
    report = replace(BUSY, pauses=(OF_SOURCE, BY_PERSON))
    assert QueueReport.from_json(report.to_json()) == report


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"pauses": [], "next_seconds": 4, "waiting": "x"}'])
def test_a_report_of_another_release_is_refused(text: str) -> None:
    """Flower then says that both need the same release."""
    with pytest.raises((ValueError, TypeError, LookupError)):
        QueueReport.from_json(text)
