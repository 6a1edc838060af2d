"""Pass one notice to one channel: mail, webhook, command or Apprise."""

import hashlib
import hmac
import json
import logging
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from datetime import datetime
from importlib import import_module
from typing import Any

from db.ledger.notices import Notice
from delivery.alarms.http_post import post
from delivery.alarms.message import text_of, title_of
from delivery.mail import MailNote, send_note
from nightread import __version__
from nightread.alarm_settings import AppriseChannel, Channel, CommandChannel, MailChannel, WebhookChannel
from nightread.errors import StopWork, UsageFault
from nightread.settings import Settings
from nightread.wording import counted

log = logging.getLogger(__name__)

SIGNATURE_HEADER = "X-Nightread-Signature"
LONGEST_ATTEMPT_SECONDS = 75.0
"""Time limit of one attempt to send a notice. The time limits in the settings of channels are shorter.

Two times are longer: db.ledger.notices.ATTEMPT, after which the sender counts as dead and the notice is sent again, and
the time after which the watchdog counts as hanging.
"""
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""PATH of a command. A command does not get the environment of nightread, which may hold secrets."""


def send(
    settings: Settings,
    channel: Channel,
    notice: Notice,
    *,
    now: datetime,
    most_seconds: float = LONGEST_ATTEMPT_SECONDS,
) -> str | None:
    """Send the notice once. Return None if the channel accepted it, else the cause of the failure in a few words.

    Sending by mail or Apprise has no limit for its total time, so its thread is abandoned after `most_seconds`.
    """
    ended: list[str | None] = []
    attempt = threading.Thread(
        target=lambda: ended.append(_send(settings, channel, notice, now)), name="notice", daemon=True
    )
    attempt.start()
    attempt.join(most_seconds)
    if ended:
        return ended[0]
    return "the attempt took too long" if attempt.is_alive() else "the attempt failed: see the log"


def _send(settings: Settings, channel: Channel, notice: Notice, now: datetime) -> str | None:
    if isinstance(channel, MailChannel):
        return _mail(settings, channel, notice, now)
    if isinstance(channel, WebhookChannel):
        return _webhook(channel, notice, now)
    if isinstance(channel, CommandChannel):
        return _command(channel, notice)
    return _apprise(channel, notice)


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """Return the signature of a body, `t=TIME,v1=HEX`. HEX is the HMAC-SHA256 (RFC 2104) of time, a dot and the body.

    The receiver should compute HEX again, compare in constant time, and refuse a TIME that is more than 5 minutes old.
    """
    digest = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"


def content_of(notice: Notice) -> bytes:
    """Return the JSON text that is sent to webhooks and commands."""
    return json.dumps({"notice": notice.id, **notice.body}, sort_keys=True).encode()


def _mail(settings: Settings, channel: MailChannel, notice: Notice, now: datetime) -> str | None:
    note = MailNote(subject=title_of(notice.body), text=text_of(notice.body))
    try:
        refused = send_note(settings, channel.to, note, now=now)
    except (StopWork, UsageFault) as error:
        return str(error)
    if refused:  # the other addresses have the mail: a further attempt would send it to them again
        log.warning(
            "the mail server refused %s of the channel %s", counted(len(refused), "address", "addresses"), channel.name
        )
    return None


def _webhook(channel: WebhookChannel, notice: Notice, now: datetime) -> str | None:
    body, at = content_of(notice), int(now.timestamp())
    try:
        secret = channel.read_secret()
    except (OSError, ValueError) as error:
        return f"the file `secret_file` cannot be used ({type(error).__name__})"
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"nightread/{__version__}",
        "X-Nightread-Notice": str(notice.id),
        "X-Nightread-Attempt": str(notice.attempts + 1),
        SIGNATURE_HEADER: signature(secret, at, body),
    }
    return post(channel.url, body, headers, timeout_seconds=channel.timeout_seconds)


def _command(channel: CommandChannel, notice: Notice) -> str | None:
    environment = {
        "PATH": _PATH,
        "NIGHTREAD_EVENT": str(notice.body["event"]),
        "NIGHTREAD_RULE": str(notice.body["rule"]),
    }
    try:
        process = subprocess.Popen(
            list(channel.command),
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        return f"the program cannot be started ({type(error).__name__})"
    try:
        process.communicate(content_of(notice), timeout=channel.timeout_seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return "the program ran too long and was killed"
    return None if process.returncode == 0 else f"the program ended with code {process.returncode}"


def _apprise(channel: AppriseChannel, notice: Notice) -> str | None:
    try:
        make: Callable[[], Any] = import_module("apprise").Apprise
    except ModuleNotFoundError:
        return "Apprise is not installed: run `pip install 'nightread[apprise]'`"
    service = make()
    try:
        url = channel.read_url()
    except (OSError, ValueError) as error:
        return f"the file `url_file` cannot be used ({type(error).__name__})"
    if not service.add(url):
        return "Apprise does not know this kind of URL"
    sent = service.notify(title=title_of(notice.body), body=text_of(notice.body))
    return None if sent else "the service did not accept the message"
