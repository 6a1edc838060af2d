"""`nightread trace` tells everything that happened to an image, in chronological order."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner, Result
from ledger_driver import LedgerDriver, build_outcome
from sqlalchemy import update
from trusted_arrivals import STUDY, TrustedArrivals

from cli.main import cli
from db import ledger, queries
from db.ledger import Arrival, CallingEntity
from db.queries import DeliveryState, ImageTrace, What
from db.tables import State, batches
from nightread.errors import UsageFault
from nightread.reasons import Reason

MakeArrivals = Callable[..., list[Arrival]]


@pytest.fixture
def arrivals(ledger_driver: LedgerDriver) -> TrustedArrivals:
    """Records arrivals one by one; a minute passes before each step of them."""
    return TrustedArrivals(ledger_driver=ledger_driver)


def _trace(driver: LedgerDriver, image_id: int) -> ImageTrace:
    (found,) = queries.trace(driver.database, [image_id])
    return found


def _what(trace: ImageTrace) -> list[str]:
    return [event.what.value for event in trace.events]


def _run(driver: LedgerDriver, *arguments: str) -> Result:
    url = driver.database.writer.url.render_as_string(hide_password=False)
    return CliRunner().invoke(cli, ["trace", *arguments, "--database-url", url], catch_exceptions=False)


def test_a_trace_has_each_step_with_its_time_and_the_model(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, bundle_id: int
) -> None:
    """Arrival, batch, claim and outcome, ten seconds apart."""
    ledger_driver.register(make_arrivals(1))
    arrived = ledger_driver.clock()
    ledger_driver.clock.advance(seconds=10)
    (batch,) = ledger_driver.form()
    ledger_driver.clock.advance(seconds=10)
    (claimed,) = ledger_driver.claim(batch)
    ledger_driver.clock.advance(seconds=10)
    ledger_driver.record(batch, [build_outcome(claimed, bundle_id=bundle_id)])
    trace = _trace(ledger_driver, 1)
    expected = ["arrived", "batch_formed", "claimed", "outcome"]
    assert [(event.what, event.at) for event in trace.events] == [
        (what, arrived + timedelta(seconds=10 * step)) for step, what in enumerate(expected)
    ]
    claim, outcome = trace.events[2:]
    assert (claim.values["node"], claim.values["process"], claim.values["batch"]) == ("w1", 0, batch.id)
    assert (outcome.values["model"], outcome.values["model_digest"]) == ("phantom", "d" * 64)
    assert outcome.detail == "phantom@1 says normal (0.250)."


def test_what_the_database_does_not_keep_is_said(ledger_driver: LedgerDriver, make_arrivals: MakeArrivals) -> None:
    """The batch of the first attempt is not invented: only its claim has a time."""
    ledger_driver.register(make_arrivals(1))
    first_claim = ledger_driver.clock.advance(seconds=5)
    waits_until = first_claim + timedelta(seconds=30)
    ledger_driver.analyse_all(state=State.RECEIVED, reason=Reason.STORE_UNAVAILABLE, not_before=waits_until)
    waiting = _trace(ledger_driver, 1)
    assert _what(waiting) == ["arrived", "first_claimed", "waiting"]
    assert waiting.events[-1].at is None
    assert (waiting.events[-1].values["not_before"], waiting.events[-1].values["reason"]) == (
        waits_until,
        "store_unavailable",
    )
    ledger_driver.clock.advance(seconds=60)
    ledger_driver.analyse_all(state=State.FAILED, reason=Reason.STORE_UNAVAILABLE)
    failed = _trace(ledger_driver, 1)
    assert _what(failed) == ["arrived", "first_claimed", "batch_formed", "claimed", "outcome"]
    assert failed.events[1].at == first_claim
    assert failed.events[-1].values["attempts"] == 2
    assert any("only the latest batch is kept" in sentence for sentence in failed.not_kept)


def test_a_retry_is_in_the_trace_with_the_earlier_reason(
    ledger_driver: LedgerDriver, make_arrivals: MakeArrivals
) -> None:
    """The audit names image 2, not image 21, and not the others of the command."""
    ledger_driver.register(make_arrivals(3))
    ledger_driver.analyse_all(state=State.FAILED, reason=Reason.IO_ERROR)
    ledger_driver.clock.advance(minutes=1)
    ledger.retry(ledger_driver.database, [2], actor="ann", now=ledger_driver.clock())
    traces = queries.trace(ledger_driver.database, [3, 2, 99])
    assert [trace.image_id for trace in traces] == [3, 2]
    assert "audit" not in _what(traces[0])
    (entry,) = [event for event in traces[1].events if event.what is What.AUDIT]
    assert entry.detail == "ann retried it. Its state before was failed (io_error). Attempts until then: 1."


def test_entries_of_the_audit_that_name_the_image_or_its_study_are_in_the_trace(arrivals: TrustedArrivals) -> None:
    """However they name it; an entry about another image is not."""
    image = arrivals.image("ct", "a")
    database, now = arrivals.ledger_driver.database, arrivals.ledger_driver.clock.advance(minutes=1)
    entries: list[tuple[str, dict[str, object]]] = [
        ("images.explain", {"image": image, "model": "phantom@1", "frame": 0}),
        ("page.read", {"image_id": image}),
        ("page.read", {"study": STUDY}),
        ("page.read", {"images": [image, 99]}),
        ("page.read", {"image": 10 * image, "images": 5}),
    ]
    for action, detail in entries:
        ledger.write_entry(database, action, detail, actor="ann", now=now)
    found = [event.detail for event in _trace(arrivals.ledger_driver, image).events if event.what is What.AUDIT]
    assert found == ["ann asked for an explanation by phantom@1, frame 0.", *["ann: page.read."] * 3]


def test_versions_notes_copies_and_conflicts_are_in_the_trace(arrivals: TrustedArrivals) -> None:
    """Each relation is told from both sides, with the id of the other image."""
    sender = CallingEntity("CT1", "10.0.0.9")
    old, new = arrivals.image("ct", "a"), arrivals.image("ct", "b")
    note = arrivals.note("ct")
    assert _others(arrivals, old)["superseded"] == new
    assert _others(arrivals, new).keys() >= {"supersedes", "withdrawn"}
    assert _others(arrivals, new)["withdrawn"] == note
    assert "withdraws" in _others(arrivals, note)
    other = arrivals.image("mr", "c", sender=sender)
    copy = arrivals.image("mr", "b")
    assert _others(arrivals, new)["arrived_elsewhere"] == copy
    assert "conflict" in _others(arrivals, other)
    assert _trace(arrivals.ledger_driver, copy).events[-1].values["duplicate_of"] == new
    sent_by = {"calling_ae": "CT1", "address": "10.0.0.9"}
    assert _trace(arrivals.ledger_driver, other).events[0].values["sender"] == sent_by


def _others(arrivals: TrustedArrivals, image_id: int) -> dict[str, object]:
    """Return the image that each event names, by the word of the event."""
    events = _trace(arrivals.ledger_driver, image_id).events
    return {event.what.value: event.values.get("image_id") for event in events}


def test_a_replaced_file_names_its_successor(ledger_driver: LedgerDriver, make_arrivals: MakeArrivals) -> None:
    """At the time of the arrival that replaced it."""
    (first,) = make_arrivals(1)
    ledger_driver.register([first])
    ledger_driver.analyse_all()
    replaced_at = ledger_driver.clock.advance(minutes=1)
    ledger_driver.register([Arrival(uri=first.uri, size=first.size + 1, mtime_ns=first.mtime_ns + 1)])
    event = next(event for event in _trace(ledger_driver, 1).events if event.what is What.REPLACED)
    assert (event.at, event.values) == (replaced_at, {"image_id": 2})
    assert "replaces" in _what(_trace(ledger_driver, 2))


def test_deliveries_of_the_study_are_in_the_trace(arrivals: TrustedArrivals) -> None:
    """Each revision, with its destination and its state."""
    image = arrivals.image("ct", "a")
    driver = arrivals.ledger_driver
    for content, state in (("1", DeliveryState.DELIVERED), ("2", DeliveryState.FAILED)):
        driver.clock.advance(minutes=1)
        drafted = ledger.draft_delivery(
            driver.database,
            study_instance_uid=STUDY,
            destination="pacs",
            content=content,
            make_uid=lambda content=content: f"2.25.{content}",  # type: ignore[misc]
            again=False,
            now=driver.clock(),
        )
        assert drafted is not None
        driver.clock.advance(minutes=1)
        ledger.end_delivery(driver.database, drafted[0].id, state, reason=None, detail=None, now=driver.clock())
    events = [event for event in _trace(driver, image).events if event.what.value.startswith("report")]
    assert [(e.what.value, e.values["revision"], e.values["destination"]) for e in events] == [
        ("report_created", 1, "pacs"),
        ("report_delivered", 1, "pacs"),
        ("report_created", 2, "pacs"),
        ("report_failed", 2, "pacs"),
    ]


def test_a_batch_that_is_gone_is_said(ledger_driver: LedgerDriver, make_arrivals: MakeArrivals) -> None:
    """The outcome stays."""
    ledger_driver.register(make_arrivals(1))
    ledger_driver.analyse_all()
    ledger_driver.database.write(lambda connection: connection.execute(update(batches).values(id="other")))
    trace = _trace(ledger_driver, 1)
    assert "batch_formed" not in _what(trace)
    assert "Its batch is not in the database any more." in trace.not_kept


@pytest.mark.parametrize("name", ["1", "/ct/scan%20a.dcm", "/ct/scan a.dcm", STUDY, "1.2.1.7", "1.2.1.3", "a" * 64])
def test_an_image_is_found_by_each_of_its_names(arrivals: TrustedArrivals, name: str) -> None:
    """By id, path as `query` prints it, path on this host, UIDs and SHA-256."""
    arrivals.add_source("ct")
    arrivals.image("ct", "a", uri="scan%20a.dcm")
    (found,) = json.loads(_run(arrivals.ledger_driver, name, "--json").output)
    assert (found["image_id"], found["state"]) == (1, "done")
    assert found["events"][0]["at"] == "2026-11-05T22:00:00+00:00"


def test_people_read_a_table(arrivals: TrustedArrivals) -> None:
    """With local times, and with the line that results are not for diagnosis."""
    arrivals.image("ct", "a")
    output = _run(arrivals.ledger_driver, "1").output
    assert "image 1" in output
    assert "arrived at the source ct" in output
    assert "Not for diagnosis." in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["4711"], "No image in the database has 4711"),
        (["1.2.3"], "No image in the database has 1.2.3"),
        (["/ct/other.dcm"], "No file arrived from /ct/other.dcm"),
        ([], "Name the image"),
        (["1", "--patient", "5"], "Name the image"),
    ],
)
def test_a_name_without_image_is_an_error(arrivals: TrustedArrivals, arguments: list[str], message: str) -> None:
    """The message says where to look."""
    arrivals.image("ct", "a")
    with pytest.raises(UsageFault, match=message):
        _run(arrivals.ledger_driver, *arguments)


def test_many_images_are_traced_with_few_statements(ledger_driver: LedgerDriver, make_arrivals: MakeArrivals) -> None:
    """The number of statements does not depend on the number of images."""
    ledger_driver.register(make_arrivals(60))
    ledger_driver.analyse_all()
    few, many = (_statements(ledger_driver, range(1, last)) for last in (3, 61))
    assert few == many


def _statements(driver: LedgerDriver, image_ids: Any) -> int:
    from sqlalchemy import event  # noqa: PLC0415

    counted: list[str] = []
    listener = lambda *arguments: counted.append(arguments[2])  # noqa: E731
    event.listen(driver.database.reader, "before_cursor_execute", listener)
    try:
        queries.trace(driver.database, list(image_ids))
    finally:
        event.remove(driver.database.reader, "before_cursor_execute", listener)
    return len(counted)
