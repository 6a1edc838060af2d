"""Send the waiting notices. A notice that fails is tried again, since a channel may be unavailable for hours."""

import logging
import time
from collections.abc import Callable
from datetime import datetime

from db.engine import Database
from db.ledger.notices import Notice, claim_notice, end_attempt, waiting_notices
from nightread.alarm_settings import Channel
from nightread.settings import Settings

log = logging.getLogger(__name__)

_SECONDS_PER_ROUND = 20.0
"""After this time the other notices wait for the next round, since slow channels must not delay the checks."""


class NoticeOutbox:
    """The waiting notices, and the channels of the settings."""

    def __init__(self, settings: Settings, database: Database, send: Callable[..., str | None]) -> None:
        self._settings = settings
        self._database = database
        self._send = send
        self._channels: dict[str, Channel] = {channel.name: channel for channel in settings.alarm_channels}

    def send_due(self, now: datetime) -> None:
        """Send the notices that are due, oldest first. A channel that fails is not tried again in this round."""
        began = time.monotonic()
        failed: set[str] = set()
        for notice in waiting_notices(self._database, now=now):
            if time.monotonic() - began > _SECONDS_PER_ROUND:
                return
            if notice.channel in failed or not claim_notice(self._database, notice, now=now):
                continue
            problem = self._attempt(notice, now)
            end_attempt(self._database, notice, problem, now=now)
            if problem is not None:
                failed.add(notice.channel)
                log.warning("the channel %s did not accept notice %d: %s", notice.channel, notice.id, problem)

    def _attempt(self, notice: Notice, now: datetime) -> str | None:
        channel = self._channels.get(notice.channel)
        if channel is None:
            return "the channel is no longer in the settings"
        return self._send(self._settings, channel, notice, now=now)
