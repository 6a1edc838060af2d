"""Send a test message to each channel."""

from collections.abc import Iterator
from datetime import datetime

from db.ledger.notices import Notice
from delivery.alarms.channels import send
from nightread.settings import Settings


def try_channels(settings: Settings, now: datetime) -> Iterator[tuple[str, str | None]]:
    """Send a test message to each channel. Yield the name of the channel, and why it failed, or None for success."""
    for channel in settings.alarm_channels:
        body = {
            "version": 1,
            "event": "test",
            "alarm": 0,
            "rule": "test",
            "subject": "",
            "text": "this is a test of the alarms of nightread",
            "critical": False,
            "night": None,
            "opened_at": now.isoformat(timespec="seconds"),
            "last_seen_at": now.isoformat(timespec="seconds"),
            "closed_at": now.isoformat(timespec="seconds"),
            "acknowledged_by": None,
            "playbook": "docs/alarms.md",
        }
        notice = Notice(
            id=0, alarm_id=None, channel=channel.name, body=body, created_at=now, not_before=now, attempts=0
        )
        yield channel.name, send(settings, channel, notice, now=now)
