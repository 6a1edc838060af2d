"""`nightread audit`, `models` and `doctor`, as a person or a program calls them."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ledger_driver import LedgerDriver
from redis import Redis
from sqlalchemy import delete

from db import ledger
from db.ledger import Arrival
from db.tables import work
from nightread.queue import make_celery
from nightread.settings import load_settings
from producer.dispatcher.transport import Transport

MakeArrivals = Callable[..., list[Arrival]]
Nightread = Callable[..., tuple[int, str, str]]


def test_audit_passes_a_sound_record_and_compares_the_folder(
    nightread: Nightread, ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, inbox: Path
) -> None:
    """Files without a row and rows without a file are told, and are no violation; temporary names are neither."""
    (inbox / "known.dcm").touch()
    (inbox / "below").mkdir()
    (inbox / "below" / "new one.dcm").touch()
    (inbox / "half.part").touch()
    (inbox / ".hidden").touch()
    ledger_driver.register(make_arrivals(1, uri="known.dcm"))
    ledger_driver.register(make_arrivals(1, uri="gone.dcm"))

    code, text, _ = nightread("audit", "--json")

    assert code == 0
    (folder,) = json.loads(text)["folders"]
    assert json.loads(text)["violations"] == []
    assert folder["files"] == 2
    assert folder["without_row"] == [f"{inbox}/below/new one.dcm"]
    assert folder["gone"] == [{"image_id": 2, "uri": f"{inbox}/gone.dcm"}]


def test_audit_ends_with_1_and_names_what_is_broken(
    nightread: Nightread, ledger_driver: LedgerDriver, make_arrivals: MakeArrivals
) -> None:
    """The rule in words, and the image."""
    ledger_driver.register(make_arrivals(2))
    ledger_driver.database.write(lambda connection: connection.execute(delete(work).where(work.c.instance_id == 2)))

    code, text, _ = nightread("audit")

    assert code == 1
    assert "broken: every arrival has exactly one first row of work\n  image 2\n" in text


def test_a_file_that_the_watcher_overlooked_breaks_a_promise(
    nightread: Nightread, ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, inbox: Path
) -> None:
    """It lay there long before the watcher's latest word; one that came later is told and is none."""
    ledger_driver.register(make_arrivals(1, uri="known.dcm"))
    for name in ("known.dcm", "overlooked.dcm"):
        (inbox / name).touch()
    word = datetime.now(UTC) + timedelta(hours=1)
    ledger.report_source(ledger_driver.database, source_id=ledger_driver.source_id, report={}, now=word)
    late = inbox / "late.dcm"
    late.touch()
    os.utime(late, (word.timestamp(), word.timestamp()))

    code, text, _ = nightread("audit", "--json")

    (folder,) = json.loads(text)["folders"]
    assert (code, folder["overlooked"]) == (1, [f"{inbox}/overlooked.dcm"])
    assert set(folder["without_row"]) == {f"{inbox}/overlooked.dcm", f"{inbox}/late.dcm"}
    assert "overlooked.dcm" in nightread("audit")[1].partition("broken: every file")[2]


def test_a_file_that_waits_for_room_and_a_pipe_are_not_overlooked(
    nightread: Nightread, ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, inbox: Path
) -> None:
    """The watcher holds back while the disk is short of room; a pipe never arrives."""
    ledger_driver.register(make_arrivals(1, uri="known.dcm"))
    for name in ("known.dcm", "waits.dcm"):
        (inbox / name).touch()
    os.mkfifo(inbox / "pipe.dcm")
    word = datetime.now(UTC) + timedelta(hours=1)
    ledger.report_source(
        ledger_driver.database, source_id=ledger_driver.source_id, report={"disk_short": True}, now=word
    )

    code, text, _ = nightread("audit", "--json")

    (folder,) = json.loads(text)["folders"]
    assert (code, folder["overlooked"], folder["without_row"]) == (0, [], [f"{inbox}/waits.dcm"])


def test_the_queue_is_compared_with_the_open_batches(
    nightread: Nightread, ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, redis_url: str
) -> None:
    """A message of another record breaks a rule; a batch whose message is gone is told."""
    ledger_driver.clock.now = datetime.now(UTC) - timedelta(minutes=2)
    ledger_driver.register(make_arrivals(2))
    sent, lost = ledger_driver.form(images=1)
    transport = Transport(make_celery(redis_url, load_settings(None)), Redis.from_url(redis_url))
    transport.publish(sent.id, 1)

    code, text, _ = nightread("audit", "--json", "--no-folders", "--redis-url", redis_url)
    queue = json.loads(text)["queue"]
    assert (code, queue["waiting"], queue["foreign"], queue["without_message"]) == (0, 1, [], [lost.id])

    transport.publish("of-another-record", 1)
    code, text, _ = nightread("audit", "--redis-url", redis_url)
    assert code == 1
    assert "broken: every message in Redis names a batch of this database\n  task of-another-record\n" in text


def test_models_are_listed_and_shown_with_their_digest_verified(nightread: Nightread) -> None:
    """The bundle that ships; an unknown one is a usage fault that names it."""
    listed = json.loads(nightread("models", "list", "--json")[1])
    shown = json.loads(nightread("models", "show", "phantom", "--json")[1])

    assert [(model["name"], model["verified"]) for model in listed] == [("mnist-cnn", True), ("phantom", True)]
    assert shown["digest"] == listed[1]["digest"]
    assert shown["evaluation"]["evaluation"]["macro_recall"] > 0.9
    assert "verified" in nightread("models", "show", "phantom")[1]
    assert nightread("models", "show", "nothing")[0] == 2


def test_a_bundle_that_was_changed_is_listed_as_such(nightread: Nightread, state_dir: Path) -> None:
    """One bad bundle does not hide the others."""
    folder = state_dir / "bundles" / "broken"
    folder.mkdir(parents=True)
    (folder / "bundle.json").write_text('{"name": "broken", "version": "1"}')

    code, text, _ = nightread("models", "list", "--json")

    assert code == 0
    assert [(model["name"], model["verified"]) for model in json.loads(text)] == [
        ("broken", False),
        ("mnist-cnn", True),
        ("phantom", True),
    ]


def test_doctor_says_what_fails_and_what_to_do(nightread: Nightread) -> None:
    """A Redis that does not answer and a model that nobody has make it end with 1; a sound machine with 0."""
    assert nightread("doctor", "--model", "phantom")[0] == 0

    code, text, _ = nightread("doctor", "--model", "nothing", "--redis-url", "redis://127.0.0.1:1/0", "--json")

    checks = {check["name"]: check for check in json.loads(text)["checks"]}
    assert code == 1
    assert checks["Redis"]["result"] == checks["model"]["result"] == "fail"
    assert all(check["remedy"] for check in checks.values() if check["result"] != "ok")
    assert checks["database"]["result"] == "ok"


def test_doctor_asks_a_real_redis(nightread: Nightread, redis_url: str) -> None:
    """Its version is shown."""
    _, text, _ = nightread("doctor", "--redis-url", redis_url, "--json")

    checks = {check["name"]: check for check in json.loads(text)["checks"]}
    assert checks["Redis"]["result"] in ("ok", "warn")
    assert "used" in checks["Redis"]["found"]
