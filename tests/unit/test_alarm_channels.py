"""Each channel gets one message, says in a few words why it failed, and never shows a secret."""

import hashlib
import hmac
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError
from web_server import Reply, running_web_server

from db.ledger.notices import ATTEMPT, Notice
from delivery.alarms.channels import LONGEST_ATTEMPT_SECONDS, SIGNATURE_HEADER, send, signature
from delivery.alarms.http_post import post
from delivery.alarms.message import text_of, title_of
from delivery.alarms.monitor import Monitor
from nightread.alarm_rules import TIMINGS, AlarmRule
from nightread.alarm_settings import Channel, CommandChannel, WebhookChannel
from nightread.settings import Settings

NOW = datetime(2026, 11, 5, 22, 0, tzinfo=UTC)
SECRET = "0123456789abcdef"
BODY = {
    "version": 1,
    "event": "opened",
    "alarm": 12,
    "rule": "part_silent",
    "subject": "worker w1",
    "text": "worker w1 is silent (last heartbeat 2 min 00 s ago)",
    "critical": True,
    "night": "2026-11-05",
    "opened_at": "2026-11-05T23:00:00+01:00",
    "last_seen_at": "2026-11-05T23:00:00+01:00",
    "closed_at": None,
    "acknowledged_by": None,
    "playbook": TIMINGS[AlarmRule.PART_SILENT].link,
}
NOTICE = Notice(id=7, alarm_id=12, channel="c", body=BODY, created_at=NOW, not_before=NOW, attempts=2)
DOCS = Path(__file__).parents[2] / "docs"


def _channel(**fields: object) -> Channel:
    channel: Channel = TypeAdapter(Channel).validate_python({"name": "c", **fields})
    return channel


def _webhook(url: str, **fields: object) -> Channel:
    return _channel(kind="webhook", url=url, secret=SECRET, **fields)


def _send(channel: Channel) -> str | None:
    return send(Settings(), channel, NOTICE, now=NOW)


def test_a_webhook_is_signed_over_its_time_and_body() -> None:
    """A receiver computes the signature as docs/alarms.md says."""
    with running_web_server(lambda _request: Reply(status=204)) as server:
        assert _send(_webhook(f"{server.url}/hook?team=ct")) is None
    (request,) = server.asked
    assert request.path == "/hook?team=ct"
    assert json.loads(request.body) == {"notice": 7, **BODY}
    at, digest = (part.partition("=")[2] for part in request.headers["X-Nightread-Signature"].split(","))
    expected = hmac.new(SECRET.encode(), f"{at}.".encode() + request.body, hashlib.sha256).hexdigest()
    assert (int(at), digest) == (int(NOW.timestamp()), expected)
    assert (request.headers["X-Nightread-Notice"], request.headers["X-Nightread-Attempt"]) == ("7", "3")


@pytest.mark.parametrize("status", [302, 404, 500])
def test_any_other_answer_is_a_failure_and_no_redirect_is_followed(status: int) -> None:
    """The body could go to another host."""
    with running_web_server(lambda _request: Reply(status=status, headers={"Location": "/other"})) as server:
        assert _send(_webhook(f"{server.url}/hook")) == f"status {status}"
    assert [request.path for request in server.asked] == ["/hook"]


def test_a_webhook_that_cannot_be_reached_is_named_without_its_url() -> None:
    """The URL may hold a token."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        assert _send(_webhook(f"http://127.0.0.1:{closed.getsockname()[1]}/token")) == "ConnectionRefusedError"


@contextmanager
def _dripping_server() -> Iterator[int]:
    """A server that sends one byte of a header line at a time, for ever."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                while not stop.wait(0.01):
                    try:
                        connection.sendall(b"H")
                    except OSError:
                        return

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            stop.set()
            thread.join()


def test_a_webhook_that_answers_byte_by_byte_is_given_up() -> None:
    """A socket alone would wait for ever: each byte starts its time limit anew."""
    with _dripping_server() as port:
        assert _send(_webhook(f"http://127.0.0.1:{port}/", timeout_seconds=0.2)) is not None


def test_a_mail_server_that_answers_byte_by_byte_is_left_behind() -> None:
    """Else another watchdog would send the message too, after the two minutes of an attempt (db.ledger.notices)."""
    with _dripping_server() as port:
        settings = Settings(smtp_host="127.0.0.1", smtp_port=port, smtp_from="a@hospital.example", smtp_tls="none")
        channel = _channel(kind="mail", to=["night@hospital.example"])
        assert send(settings, channel, NOTICE, now=NOW, most_seconds=0.3) == "the attempt took too long"


def test_no_attempt_lasts_until_the_notice_is_taken_for_one_of_a_dead_watchdog() -> None:
    """The longest time limits of the settings end before, and a webhook has two: to connect, and for the request."""
    webhook = _webhook("http://127.0.0.1/", timeout_seconds=30)
    command = _channel(kind="command", command=["true"], timeout_seconds=60)
    assert isinstance(webhook, WebhookChannel)
    assert isinstance(command, CommandChannel)
    longest = max(2 * webhook.timeout_seconds, command.timeout_seconds)
    assert longest < LONGEST_ATTEMPT_SECONDS < ATTEMPT.total_seconds()


def test_a_command_gets_the_message_and_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its environment has PATH, the event and the rule only."""
    monkeypatch.setenv("NIGHTREAD_DATABASE_PASSWORD", "hidden")
    target = tmp_path / "got"
    script = f"cat > {target}; env >> {target}"
    assert _send(_channel(kind="command", command=["/bin/sh", "-c", script])) is None
    got = target.read_text()
    assert '"alarm": 12' in got
    assert "NIGHTREAD_EVENT=opened" in got
    assert "hidden" not in got


@pytest.mark.parametrize(
    ("script", "problem"),
    [("exit 3", "the program ended with code 3"), ("sleep 60 & wait", "the program ran too long and was killed")],
)
def test_a_command_that_fails_or_hangs_says_so(script: str, problem: str) -> None:
    """One that hangs is killed with its children."""
    assert _send(_channel(kind="command", command=["/bin/sh", "-c", script], timeout_seconds=0.3)) == problem


def test_a_command_that_does_not_exist_says_so() -> None:
    """The settings are wrong, and the watchdog lives."""
    assert _send(_channel(kind="command", command=["/no/such/program"])) == (
        "the program cannot be started (FileNotFoundError)"
    )


def test_mail_without_a_server_says_what_to_set() -> None:
    """`nightread watchdog` refuses to start with it."""
    problem = _send(_channel(kind="mail", to=["night@hospital.example"]))
    assert problem is not None
    assert "NIGHTREAD_SMTP_HOST" in problem


def test_people_read_what_happened_and_what_to_do() -> None:
    """The subject says it; the text has the entry of the playbook and the command."""
    assert title_of(BODY) == "nightread ALARM: worker w1 is silent (last heartbeat 2 min 00 s ago)"
    text = text_of(BODY)
    assert "docs/operations.md#a-part-of-nightread-is-silent-or-was-started-again" in text
    assert "nightread alarms ack 12" in text


def test_each_rule_links_to_an_entry_of_the_playbook_and_is_documented() -> None:
    """Anchors are made as on the documentation site."""
    playbook = (DOCS / "operations.md").read_text("utf-8")
    page = (DOCS / "alarms.md").read_text("utf-8")
    assert set(TIMINGS) == set(AlarmRule)
    for rule, timing in TIMINGS.items():
        assert f"### {timing.entry}\n" in playbook, rule
        assert f"`{rule.value}`" in page, rule
        assert f"({timing.link.removeprefix('docs/')})" in page, rule


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "webhook", "url": "ftp://a", "secret": SECRET},
        {"kind": "webhook", "url": "https://user@host/", "secret": SECRET},
        {"kind": "webhook", "url": "https://host:99999/", "secret": SECRET},
        {"kind": "webhook", "url": "https://[::1/", "secret": SECRET},
        {"kind": "webhook", "url": "https://host/", "secret": "short"},
        {"kind": "mail", "to": []},
        {"kind": "webhook", "url": "https://host/", "secret": SECRET, "timeout_seconds": 31},
        {"kind": "command", "command": []},
        {"kind": "command", "command": ["true"], "timeout_seconds": 61},
        {"kind": "pigeon"},
    ],
)
def test_wrong_channels_are_refused(fields: dict[str, object]) -> None:
    """When the settings are read, and not in the night."""
    with pytest.raises(ValidationError):
        _channel(**fields)


@pytest.mark.parametrize("url", ["hc.example/uuid", "ftp://host/uuid", "https://host:99999/uuid", "https://[::1/uuid"])
def test_a_wrong_monitor_is_refused_without_showing_it(url: str) -> None:
    """When the settings are read: in the night no heartbeat would leave the host."""
    with pytest.raises(ValidationError) as refused:
        Settings(monitor_url=url)  # type: ignore[arg-type]
    assert "uuid" not in str(refused.value)


@pytest.mark.parametrize("url", ["http://host:99999/token", "http://[::1/token", "http://a b/token"])
def test_a_wrong_url_is_a_failed_attempt(url: str) -> None:
    """The watchdog goes on, whatever the URL is."""
    assert post(url, b"", {}, timeout_seconds=1) in ("ValueError", "InvalidURL")


def test_secrets_of_channels_reach_child_processes_and_nobody_else() -> None:
    """`up` passes its settings on; a dump for people has asterisks."""
    channel = {"name": "pager", "kind": "webhook", "url": "https://host/", "secret": SECRET}
    settings = Settings(alarm_channels=[channel], monitor_url="https://hc.example/uuid")  # type: ignore[list-item,arg-type]
    environment = settings.to_environment()
    assert SECRET in environment["NIGHTREAD_ALARM_CHANNELS"]
    assert environment["NIGHTREAD_MONITOR_URL"] == "https://hc.example/uuid"
    assert SECRET not in settings.model_dump_json()
    assert "uuid" not in settings.model_dump_json()


def test_the_outside_monitor_gets_start_success_and_fail() -> None:
    """As healthchecks.io takes them; a success at most every minute, a change at once, and a set-back clock too."""
    with running_web_server(lambda _request: Reply()) as server:
        monitor = Monitor(Settings(monitor_url=f"{server.url}/uuid?rid=1"))  # type: ignore[arg-type]
        for seconds, kind in ((0, "start"), (1, "success"), (31, "success"), (61, "success"), (62, "fail")):
            monitor.send(kind, now=NOW.replace(minute=seconds // 60, second=seconds % 60))  # type: ignore[arg-type]
        monitor.send("fail", now=NOW.replace(hour=21))
    paths = [request.path for request in server.asked]
    assert paths == ["/uuid/start?rid=1", *["/uuid?rid=1"] * 2, *["/uuid/fail?rid=1"] * 2]


def test_a_monitor_that_is_away_is_logged_once_without_its_url(caplog: pytest.LogCaptureFixture) -> None:
    """The watchdog goes on."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monitor = Monitor(Settings(monitor_url=f"http://127.0.0.1:{closed.getsockname()[1]}/uuid"))  # type: ignore[arg-type]
        monitor.send("success", now=NOW)
        monitor.send("fail", now=NOW)
    (record,) = caplog.records
    assert "uuid" not in record.getMessage()


def test_the_key_of_a_webhook_may_be_in_a_file(tmp_path: Path) -> None:
    """It is read for each message, so a new key needs no restart; an empty file is a failed attempt, not a crash."""
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n")
    with running_web_server(lambda _request: Reply()) as server:
        channel = WebhookChannel(name="pager", kind="webhook", url=f"{server.url}/", secret_file=file)
        assert send(Settings(), channel, NOTICE, now=NOW) is None
        (request,) = server.asked
        assert request.headers[SIGNATURE_HEADER] == signature(SECRET, int(NOW.timestamp()), request.body)
        for content in ("", "short"):
            file.write_text(content)
            assert send(Settings(), channel, NOTICE, now=NOW) == "the file `secret_file` cannot be used (ValueError)"
        file.unlink()
        assert "FileNotFoundError" in str(send(Settings(), channel, NOTICE, now=NOW))
        assert len(server.asked) == 1


@pytest.mark.parametrize("secrets", [{}, {"secret": SECRET, "secret_file": "/run/secret"}])
def test_a_webhook_has_one_key(secrets: dict[str, str]) -> None:
    """Either in the settings or in a file."""
    with pytest.raises(ValidationError, match="give either `secret` or `secret_file`"):
        WebhookChannel(name="pager", kind="webhook", url="https://host/", **secrets)  # type: ignore[arg-type]
