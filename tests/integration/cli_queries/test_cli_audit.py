"""`nightread audit`, `models` and `doctor`, as people and programs call them."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
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


def test_audit_passes_a_consistent_database_and_compares_the_folder(
    nightread: Nightread, ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, inbox: Path
) -> None:
    """Files without a row and rows without a file are listed and are no violation; temporary names are not listed."""
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


def test_audit_ends_with_1_and_names_the_violated_rule(
    nightread: Nightread, ledger_driver: LedgerDriver, make_arrivals: MakeArrivals
) -> None:
    """The output has the rule in words, and the id of the image."""
    ledger_driver.register(make_arrivals(2))
    ledger_driver.database.write(lambda connection: connection.execute(delete(work).where(work.c.instance_id == 2)))

    code, text, _ = nightread("audit")

    assert code == 1
    assert "violated: every arrival has exactly one first row of work\n  image 2\n" in text


def test_a_file_that_the_watcher_overlooked_is_a_violation(
    nightread: Nightread, ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, inbox: Path
) -> None:
    """It was there long before the latest report of the watcher; a later file is listed and is no violation."""
    ledger_driver.register(make_arrivals(1, uri="known.dcm"))
    for name in ("known.dcm", "overlooked.dcm"):
        (inbox / name).touch()
    reported_at = datetime.now(UTC) + timedelta(hours=1)
    ledger.report_source(ledger_driver.database, source_id=ledger_driver.source_id, report={}, now=reported_at)
    late = inbox / "late.dcm"
    late.touch()
    os.utime(late, (reported_at.timestamp(), reported_at.timestamp()))

    code, text, _ = nightread("audit", "--json")

    (folder,) = json.loads(text)["folders"]
    assert (code, folder["overlooked"]) == (1, [f"{inbox}/overlooked.dcm"])
    assert set(folder["without_row"]) == {f"{inbox}/overlooked.dcm", f"{inbox}/late.dcm"}
    assert "overlooked.dcm" in nightread("audit")[1].partition("violated: every file")[2]


def test_a_file_that_waits_for_disk_space_and_a_pipe_are_not_overlooked(
    nightread: Nightread, ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, inbox: Path
) -> None:
    """The watcher registers nothing while the disk is full, and never registers a pipe."""
    ledger_driver.register(make_arrivals(1, uri="known.dcm"))
    for name in ("known.dcm", "waits.dcm"):
        (inbox / name).touch()
    os.mkfifo(inbox / "pipe.dcm")
    reported_at = datetime.now(UTC) + timedelta(hours=1)
    ledger.report_source(
        ledger_driver.database, source_id=ledger_driver.source_id, report={"disk_short": True}, now=reported_at
    )

    code, text, _ = nightread("audit", "--json")

    (folder,) = json.loads(text)["folders"]
    assert (code, folder["overlooked"], folder["without_row"]) == (0, [], [f"{inbox}/waits.dcm"])


def test_the_queue_is_compared_with_the_open_batches(
    nightread: Nightread, ledger_driver: LedgerDriver, make_arrivals: MakeArrivals, redis_url: str
) -> None:
    """A message of another database violates a rule; a batch without message is listed."""
    ledger_driver.clock.now = datetime.now(UTC) - timedelta(minutes=2)
    ledger_driver.register(make_arrivals(2))
    sent, lost = ledger_driver.form(images=1)
    transport = Transport(make_celery(redis_url, load_settings(None)), Redis.from_url(redis_url))
    transport.publish(sent.id, 1)

    code, text, _ = nightread("audit", "--json", "--no-folders", "--redis-url", redis_url)
    queue = json.loads(text)["queue"]
    assert (code, queue["waiting"], queue["foreign"], queue["without_message"]) == (0, 1, [], [lost.id])

    transport.publish("of-another-database", 1)
    code, text, _ = nightread("audit", "--redis-url", redis_url)
    assert code == 1
    assert "violated: every message in Redis names a batch of this database\n  task of-another-database\n" in text


def test_models_are_listed_and_shown_with_their_digest_verified(nightread: Nightread) -> None:
    """The shipped bundles are listed; an unknown model is wrong usage."""
    listed = json.loads(nightread("models", "list", "--json")[1])
    shown = json.loads(nightread("models", "show", "phantom", "--json")[1])

    assert [(model["name"], model["verified"]) for model in listed] == [
        ("ct-nodule", True),
        ("mnist-cnn", True),
        ("phantom", True),
    ]
    assert shown["digest"] == listed[2]["digest"]
    assert shown["evaluation"]["evaluation"]["macro_recall"] > 0.9
    text = nightread("models", "show", "phantom")[1]
    assert "verified" in text
    assert "modalities CR, DX; body parts CHEST; views AP, PA; grey" in " ".join(text.split())
    assert shown["domain"]["modalities"] == ["CR", "DX"]
    assert nightread("models", "show", "nothing")[0] == 2


def test_a_changed_bundle_is_listed_as_not_verified(nightread: Nightread, state_dir: Path) -> None:
    """A bad bundle does not hide the others."""
    folder = state_dir / "bundles" / "broken"
    folder.mkdir(parents=True)
    (folder / "bundle.json").write_text('{"name": "broken", "version": "1"}')

    code, text, _ = nightread("models", "list", "--json")

    assert code == 0
    assert [(model["name"], model["verified"]) for model in json.loads(text)] == [
        ("broken", False),
        ("ct-nodule", True),
        ("mnist-cnn", True),
        ("phantom", True),
    ]


def test_doctor_reports_failures_and_what_to_do(nightread: Nightread, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unavailable Redis and an unknown model end with exit code 1; without problems it is 0."""
    for port in ("API_PORT", "FLOWER_PORT"):  # other programs of this machine may have them
        monkeypatch.setenv(f"NIGHTREAD_{port}", "0")
    assert nightread("doctor", "--model", "phantom")[0] == 0

    code, text, _ = nightread("doctor", "--model", "nothing", "--redis-url", "redis://127.0.0.1:1/0", "--json")

    checks = {check["name"]: check for check in json.loads(text)["checks"]}
    assert code == 1
    assert checks["Redis"]["result"] == checks["model"]["result"] == "fail"
    assert all(check["remedy"] for check in checks.values() if check["result"] != "ok")
    assert all(check["verdict"] == check["result"] for check in checks.values())
    assert checks["database"]["result"] == "ok"


def test_doctor_checks_a_real_redis(nightread: Nightread, redis_url: str) -> None:
    """The memory use of Redis is shown."""
    _, text, _ = nightread("doctor", "--redis-url", redis_url, "--json")

    checks = {check["name"]: check for check in json.loads(text)["checks"]}
    assert checks["Redis"]["result"] in ("ok", "warn")
    assert "used" in checks["Redis"]["found"]
