"""The first line of `nightread status` tells what does not work, and `--check` tells it by its exit code."""

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from ledger_driver import LedgerDriver, SettableClock
from living_parts import all_alive, beat, worker_beat

from cli import status
from db import ledger
from db.condition import Level
from db.condition.words import NAMES
from db.engine import Database
from db.ledger import Arrival, Cause, PartKind
from db.tables import State
from nightread.reasons import Reason

MakeArrivals = Callable[..., list[Arrival]]
Nightread = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _standing_clock(clock: SettableClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `status` read the time of the test."""
    monkeypatch.setattr(status, "utc_now", clock)


@pytest.fixture
def at_work(database: Database, clock: SettableClock, ledger_driver: LedgerDriver) -> LedgerDriver:
    """All parts are alive, and the inbox was looked at."""
    all_alive(database, now=clock(), sources=["inbox"])
    ledger.report_source(database, ledger_driver.source_id, {"known": 0}, now=clock())
    return ledger_driver


@pytest.mark.usefixtures("at_work")
def test_nothing_to_do_is_said_only_if_every_part_lives(nightread: Nightread) -> None:
    """The exit code of `--check` is 0, and its line is one line."""
    text = nightread("status")[1]
    assert text.splitlines()[0] == "Running: watcher, dispatcher, worker and Redis work."
    assert "Nothing to do: every image has its outcome." in text
    assert nightread("status", "--check") == (
        0,
        "Running: watcher, dispatcher, worker and Redis work. No image is unfinished.\n",
        "",
    )


@pytest.mark.usefixtures("at_work")
def test_a_killed_up_is_named_in_the_first_line(nightread: Nightread, database: Database, clock: SettableClock) -> None:
    """All its parts ended with it, in order, and a file that is dropped now is not noticed."""
    beat(database, PartKind.SUPERVISOR, now=clock(), detail={"parts": ["worker", "dispatcher", "watcher"]})
    for kind in (PartKind.DISPATCHER, PartKind.WATCHER):
        ledger.record_stop(database, part=kind, boot_id="1", now=clock())
    ledger.deregister(database, node="w@host", boot_id="1")
    clock.advance(seconds=40)

    code, line, _ = nightread("status", "--check")
    text = nightread("status")[1]

    assert (code, line.count("\n")) == (2, 1)
    assert text.splitlines()[0] == (
        "STOPPED: nightread up is silent (last heartbeat 40 s ago); watcher was stopped 40 s ago; "
        "dispatcher was stopped 40 s ago; worker does not run."
    )
    assert text.splitlines()[1].startswith("Start `nightread up` again")
    assert "Nothing to do" not in text


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (PartKind.WATCHER, 2),
        (PartKind.DISPATCHER, 2),
        (PartKind.WORKER, 2),
        (PartKind.REDIS, 2),
        (PartKind.RECEIVER, 2),
        (PartKind.POLLER, 2),
        (PartKind.SENDER, 1),
        (PartKind.API, 1),
        (PartKind.FLOWER, 1),
    ],
)
@pytest.mark.usefixtures("at_work")
def test_each_part_that_is_silent_is_named(
    nightread: Nightread, database: Database, clock: SettableClock, kind: PartKind, code: int
) -> None:
    """Those without which no image is noticed or analysed stop the night; the others degrade it."""
    if kind is not PartKind.WORKER:
        beat(database, kind, now=clock())
    clock.advance(seconds=50)
    beat(database, *({PartKind.WATCHER, PartKind.DISPATCHER, PartKind.REDIS} - {kind}), now=clock())
    if kind is not PartKind.WORKER:
        worker_beat(database, now=clock())

    found, line, _ = nightread("status", "--check")

    assert found == code
    assert NAMES[kind] in line
    assert "is silent (last heartbeat 50 s ago)" in line
    assert line.split(":")[0] == ("STOPPED" if code == 2 else "DEGRADED")
    assert nightread("status")[1].splitlines()[0] in line


@pytest.mark.usefixtures("ledger_driver")
def test_a_night_that_was_stopped_on_purpose_says_so(
    nightread: Nightread, database: Database, clock: SettableClock
) -> None:
    """Whoever reads `status` in the morning learns since when new files are not noticed."""
    assert nightread("status")[1].startswith("STOPPED: nightread is not running.\n")
    all_alive(database, now=clock())
    ledger.record_stop(database, part=PartKind.DISPATCHER, boot_id="1", now=clock())
    ledger.deregister(database, node="w@host", boot_id="1")
    clock.advance(minutes=5)
    text = nightread("status")[1]
    assert text.startswith("STOPPED: nightread is not running, it was stopped 5 min 00 s ago.\n")
    assert "Every image that arrived has its outcome." in text


def test_a_source_that_was_not_looked_at_lately_is_a_problem(
    nightread: Nightread, at_work: LedgerDriver, database: Database, clock: SettableClock
) -> None:
    """Its watcher hangs in a dead mount, while its process is alive."""
    clock.advance(minutes=4)
    all_alive(database, now=clock(), sources=["inbox"])
    code, line, _ = nightread("status", "--check")
    assert code == 1
    assert line.startswith("DEGRADED: the source inbox: its watcher was last seen 4 min 00 s ago")
    ledger.report_source(database, at_work.source_id, {"root_missing": True}, now=clock())
    assert "the folder does not exist" in nightread("status", "--check")[1]


def test_what_waits_is_told_apart(
    nightread: Nightread, at_work: LedgerDriver, make_arrivals: MakeArrivals, database: Database, clock: SettableClock
) -> None:
    """The numbers add up to the unfinished images; files that have not arrived are named beside them."""
    for reason, number in (
        (Reason.STILL_ARRIVING, 1),
        (Reason.SOURCE_GONE, 2),
        (Reason.IO_ERROR, 3),
        (Reason.NO_ROOM, 4),
    ):
        at_work.register(make_arrivals(number))
        until = clock() + timedelta(minutes=1)
        at_work.analyse_all(state=State.RECEIVED, reason=reason, uncounted=True, not_before=until)
    at_work.register(make_arrivals(5))
    (batch,) = at_work.form()
    at_work.claim(batch)
    at_work.register(make_arrivals(6))
    ledger.report_source(database, at_work.source_id, {"pending": 7}, now=clock())

    assert (
        "Waiting: 6 ready, 5 being analysed, 1 for the rest of a file (until 23:05:00), 2 for an unavailable source, "
        "4 for disk space, 3 for another attempt, 7 files are not complete yet and not registered."
    ) in nightread("status")[1].splitlines()
    ledger.pause(database, Cause.PERSON, actor="anna", detail="", now=clock())
    document = json.loads(nightread("status", "--json")[1])
    waiting = document["waiting_for"]
    assert (waiting["ready"], waiting["person"]) == (0, 6)
    assert sum(waiting[name] for name in waiting if not name.startswith(("rest_of_file_until", "unregistered"))) == 21


def test_an_image_of_a_paused_source_that_is_tried_later_counts_once(
    nightread: Nightread, at_work: LedgerDriver, make_arrivals: MakeArrivals, database: Database, clock: SettableClock
) -> None:
    """It waits for its source or for a person, and never makes an image that is ready look as if it waited too."""
    away = ledger.ensure_source(database, name="away", kind="folder", root="/away", now=clock())
    at_work.register(make_arrivals(4), source_id=away)
    until = clock() + timedelta(minutes=1)
    at_work.analyse_all(state=State.RECEIVED, reason=Reason.SOURCE_GONE, uncounted=True, not_before=until)
    at_work.register(make_arrivals(2), source_id=away)
    at_work.register(make_arrivals(5))
    ledger.pause(database, Cause.PERSON, actor="anna", detail="", now=clock(), source_id=away)

    document = json.loads(nightread("status", "--json")[1])

    waiting = document["waiting_for"]
    assert (waiting["ready"], waiting["source"], waiting["person"]) == (5, 4, 2)
    assert document["held"] == 2


@pytest.mark.parametrize(
    ("cause", "source", "level"),
    [
        (Cause.BREAKER, False, Level.STOPPED),
        (Cause.DISK, False, Level.STOPPED),
        (Cause.PERSON, False, Level.DEGRADED),
        (Cause.BREAKER, True, Level.DEGRADED),
    ],
)
def test_a_pause_is_never_fine(
    nightread: Nightread,
    at_work: LedgerDriver,
    database: Database,
    clock: SettableClock,
    cause: Cause,
    source: bool,
    level: Level,
) -> None:
    """The circuit breaker has tripped: nothing is analysed until a person looks."""
    ledger.pause(database, cause, actor="x", detail="", now=clock(), source_id=at_work.source_id if source else None)
    code, line, _ = nightread("status", "--check")
    assert (code, line.split(":")[0]) == (level.exit_code, level.name)
    assert "paused" in line


def test_work_of_which_nothing_comes_back_is_stalled(
    nightread: Nightread, at_work: LedgerDriver, make_arrivals: MakeArrivals, database: Database, clock: SettableClock
) -> None:
    """The worker lives and hangs. Ten minutes without an outcome are fine as long as nothing waits."""
    at_work.register(make_arrivals(1))
    at_work.analyse_all()
    clock.advance(hours=2)
    at_work.register(make_arrivals(1))
    at_work.form()
    for minutes, code in ((9, 0), (1, 2)):
        clock.advance(minutes=minutes)
        all_alive(database, now=clock(), sources=["inbox"])
        ledger.report_source(database, at_work.source_id, {}, now=clock())
        assert nightread("status", "--check")[0] == code
    assert "1 image waits and no batch was finished for 10 min 00 s" in nightread("status")[1].splitlines()[0]


def test_the_last_batches_of_a_night_are_stalled_although_no_later_one_was_sent(
    nightread: Nightread, at_work: LedgerDriver, make_arrivals: MakeArrivals, database: Database, clock: SettableClock
) -> None:
    """Both batches were sent before the first one came back, and the second one never does."""
    at_work.register(make_arrivals(2))
    first, second = at_work.form(images=1)
    at_work.claim(second)
    clock.advance(seconds=5)
    at_work.analyse(first)
    for minutes, code in ((9, 0), (1, 2)):
        clock.advance(minutes=minutes)
        all_alive(database, now=clock(), sources=["inbox"])
        ledger.report_source(database, at_work.source_id, {}, now=clock())
        assert nightread("status", "--check")[0] == code


def test_a_check_of_what_cannot_be_read_is_stopped(nightread: Nightread) -> None:
    """Standard output has the line, because Nagios shows nothing else."""
    url = "postgresql://me:secret@127.0.0.1:1/x"
    code, line, error = nightread("status", "--check", "--database-url", url)
    assert (code, line.count("\n"), error) == (2, 1, "")
    assert line.startswith("STOPPED: The database is unavailable")
    assert "secret" not in line
    assert nightread("status", "--check", "--json")[0] == 2
