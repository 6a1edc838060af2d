"""`nightread alarms` and `nightread watchdog` as an operator calls them; no channel gets a word of a patient."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NoReturn

import pytest
from click.testing import CliRunner, Result
from databases import NewSqlite
from ledger_driver import LedgerDriver, SettableClock, build_arrivals, build_outcome
from mail_server import mail_server
from sqlalchemy import insert
from sqlalchemy.exc import OperationalError
from web_server import Reply, running_web_server

from cli.main import cli
from db import ledger, queries
from db.engine import Database
from db.ledger.alarms import Finding, note_findings
from db.store_tables import deliveries
from db.tables import State
from delivery.alarms import AlarmWatch, outbox
from imaging.facts import Facts
from nightread.alarm_rules import AlarmRule
from nightread.errors import UsageFault
from nightread.nights import nights_of
from nightread.reasons import Reason
from nightread.settings import Settings

CANARY = "Canary^Patient"
UID = "1.2.3.777.1"


@pytest.fixture
def database(new_sqlite: NewSqlite, tmp_path: Path) -> Iterator[Database]:
    """The database of an embedded state folder."""
    with new_sqlite(tmp_path / "nightread.sqlite3") as database:
        yield database


def _open(database: Database, rule: AlarmRule = AlarmRule.PAUSED) -> int:
    finding = Finding(rule=rule, subject="breaker", text="dispatch is paused by the circuit breaker for 2 min 00 s")
    now = datetime.now(UTC)
    note_findings(database, [finding], now=now, night=date(2026, 11, 5), notices_of=lambda _event, _alarm: ())
    return queries.alarms(database, is_open=True)[-1].id


def _run(tmp_path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, [*arguments, "--state", str(tmp_path)])


def test_open_alarms_are_listed_with_the_entry_of_the_playbook(database: Database, tmp_path: Path) -> None:
    """Without any it says so."""
    assert "No alarm is open." in _run(tmp_path, "alarms").output
    number = _open(database)
    shown = _run(tmp_path, "alarms").output
    assert "paused: docs/operations.md#dispatch-is-paused" in shown
    (alarm,) = json.loads(_run(tmp_path, "alarms", "--json").output)["alarms"]
    assert (alarm["id"], alarm["rule"], alarm["closed_at"]) == (number, "paused", None)


def test_an_alarm_is_acknowledged_and_silenced(database: Database, tmp_path: Path) -> None:
    """The list says by whom, and until when."""
    number = str(_open(database))
    assert f"Acknowledged: {number}." in _run(tmp_path, "alarms", "ack", number).output
    assert "acknowledged" in _run(tmp_path, "alarms").output
    assert f": {number}." in _run(tmp_path, "alarms", "silence", number, "--hours", "4").output
    (alarm,) = queries.alarms(database, is_open=True)
    assert alarm.silenced_until is not None
    assert alarm.silenced_until - datetime.now(UTC) > timedelta(hours=3)
    assert "silent until" in _run(tmp_path, "alarms").output
    assert f"Not silent any more: {number}." in _run(tmp_path, "alarms", "silence", number, "--hours", "0").output
    assert "silent until" not in _run(tmp_path, "alarms").output


@pytest.mark.parametrize("arguments", [("ack", "99"), ("silence", "1"), ("silence", "1", "--until", "2099-01-01")])
def test_wrong_calls_say_what_is_right(database: Database, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """An alarm that is not open, a silence without an end, and one of years."""
    _open(database)
    assert isinstance(_run(tmp_path, "alarms", *arguments).exception, UsageFault)


def test_the_watchdog_checks_once(database: Database, tmp_path: Path) -> None:
    """Nothing runs here, so parts are missing; they are told when they have been missing for a minute."""
    assert database.is_sqlite
    result = _run(tmp_path, "watchdog", "--once")
    assert "No alarm is open." in result.output
    assert isinstance(_run(tmp_path, "watchdog", "--test-channels").exception, UsageFault)


def test_a_test_message_reaches_each_channel(tmp_path: Path) -> None:
    """The exit code is 1 if a channel does not take it."""
    with running_web_server(lambda _request: Reply()) as server:
        channels = [
            {"kind": "webhook", "name": "pager", "url": server.url, "secret": "0123456789abcdef"},
            {"kind": "command", "name": "lamp", "command": ["/no/such/program"]},
        ]
        environment = {"NIGHTREAD_ALARM_CHANNELS": json.dumps(channels)}
        result = CliRunner(env=environment).invoke(cli, ["watchdog", "--test-channels", "--state", str(tmp_path)])
    assert result.exit_code == 1
    assert "pager: sent" in result.output
    assert [json.loads(request.body)["event"] for request in server.asked] == ["test"]


def test_one_refused_address_does_not_send_the_mail_again(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    """The other addresses would get it every time; the log says it."""
    clock = SettableClock()
    ledger.pause(database, ledger.Cause.BREAKER, detail="too many failed", now=clock())
    with mail_server() as (port, mails):
        channel = {"kind": "mail", "name": "mail", "to": ["night@hospital.example", "unknown@hospital.example"]}
        smtp = {"smtp_host": "127.0.0.1", "smtp_port": port, "smtp_from": "n@hospital.example", "smtp_tls": "none"}
        settings = Settings(alarm_channels=[channel], **smtp)  # type: ignore[arg-type,list-item]
        watch = AlarmWatch(settings, database, nights_of(settings), clock=clock)
        watch.check()
        clock.advance(seconds=30)
        watch.check()
    assert len([mail for mail in mails if "paused" in str(mail["Subject"])]) == 1
    assert "refused 1 address of the channel mail" in caplog.text
    assert queries.unsent_notices(database) == 0


def test_a_database_that_fails_between_checks_and_messages(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watchdog goes on, and sends the message in the next round."""
    clock, target = SettableClock(), tmp_path / "command"
    ledger.pause(database, ledger.Cause.BREAKER, detail="too many failed", now=clock())
    channel = {"kind": "command", "name": "lamp", "command": ["/bin/sh", "-c", f"cat > {target}"]}
    settings = Settings(alarm_channels=[channel])  # type: ignore[list-item]
    watch = AlarmWatch(settings, database, nights_of(settings), clock=clock)
    with monkeypatch.context() as patch:
        patch.setattr(outbox, "waiting_notices", _unavailable)
        watch.check()
    assert not target.exists()
    watch.check()
    assert json.loads(target.read_text())["rule"] == "paused"


def _unavailable(_database: Database, *, now: datetime) -> NoReturn:
    raise OperationalError("SELECT", {}, Exception(f"gone at {now}"))


def test_no_channel_gets_a_word_of_a_patient(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever is wrong: webhook, mail, command and log are searched for names, UIDs, file names and error texts."""
    clock = SettableClock()
    source = ledger.ensure_source(database, name="inbox", kind="folder", root=f"/srv/{CANARY}", now=clock())
    driver = LedgerDriver(database=database, clock=clock, source_id=source)
    driver.register(build_arrivals(1, uri=f"{CANARY}.dcm"))
    driver.register([arrival for n in range(30) for arrival in build_arrivals(1, uri=f"{CANARY}-{n}.dcm")])
    facts = Facts(study_instance_uid=UID, series_instance_uid=f"{UID}.1")
    for batch in driver.form():
        claimed = driver.claim(batch)
        bad = {"state": State.REJECTED, "reason": Reason.BAD_HEADER, "detail": CANARY, "facts": facts}
        driver.record(batch, [build_outcome(image, **bad) for image in claimed])
    ledger.pause(database, ledger.Cause.BREAKER, detail=CANARY, now=clock())
    row = {"study_instance_uid": UID, "destination": "archive", "sop_instance_uid": f"{UID}.9", "content": "c"}
    late = {"state": "waiting", "attempts": 2, "detail": CANARY, "created_at": clock() - timedelta(hours=2)}
    database.write(lambda connection: connection.execute(insert(deliveries).values(**row, **late)))
    target = tmp_path / "command"
    with running_web_server(lambda _request: Reply()) as server, mail_server() as (port, mails):
        channels = [
            {"kind": "webhook", "name": "pager", "url": server.url, "secret": "0123456789abcdef"},
            {"kind": "mail", "name": "mail", "to": ["night@hospital.example"]},
            {"kind": "command", "name": "lamp", "command": ["/bin/sh", "-c", f"cat >> {target}"]},
        ]
        smtp = {"smtp_host": "127.0.0.1", "smtp_port": port, "smtp_from": "n@hospital.example", "smtp_tls": "none"}
        settings = Settings(alarm_channels=channels, **smtp)  # type: ignore[arg-type]
        watch = AlarmWatch(settings, database, nights_of(settings), clock=clock)
        for _ in range(4):
            watch.check()
            clock.advance(seconds=30)
        webhooks = [request.body.decode() for request in server.asked]
    rules = {json.loads(body)["rule"] for body in webhooks}
    assert {"bad_outcomes", "paused", "destination_away", "part_silent"} <= rules
    assert len(mails) == len(webhooks)
    texts = [*webhooks, *map(str, mails), target.read_text(), caplog.text]
    assert all(word not in text for text in texts for word in ("Canary", UID, ".dcm"))
