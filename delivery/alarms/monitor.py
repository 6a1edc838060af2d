"""Send heartbeats to an outside monitor, which raises an alarm even when all of nightread is down.

The monitor has the HTTP API of healthchecks.io (https://healthchecks.io/docs/http_api/). A POST to the URL itself
reports a success, a POST to `/start` below it reports a start, and a POST to `/fail` a failure.
"""

import logging
from datetime import datetime, timedelta
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from delivery.alarms.http_post import post
from nightread.settings import Settings

log = logging.getLogger(__name__)

MONITOR_SECONDS = 60.0
"""Interval of the heartbeats. A change between success and failure is sent at once."""
_TIMEOUT_SECONDS = 10.0
_ENDINGS = {"start": "/start", "success": "", "fail": "/fail"}
Signal = Literal["start", "success", "fail"]


class Monitor:
    """The outside monitor of the settings, if there is one."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.monitor_url.get_secret_value() if settings.monitor_url else None
        self._latest: Signal | None = None
        self._sent_at: datetime | None = None
        self._problem: str | None = None

    def send(self, kind: Signal, *, now: datetime, text: str = "") -> None:
        """Send a heartbeat if it is due. If the monitor does not accept it, log this once, without the URL."""
        if self._url is None or not self._is_due(kind, now):
            return
        self._latest, self._sent_at = kind, now
        headers = {"Content-Type": "text/plain; charset=utf-8"}
        problem = post(
            _with_ending(self._url, _ENDINGS[kind]), text.encode(), headers, timeout_seconds=_TIMEOUT_SECONDS
        )
        if problem is not None and problem != self._problem:
            log.warning("the outside monitor did not accept the heartbeat (%s): check NIGHTREAD_MONITOR_URL", problem)
        elif problem is None and self._problem is not None:
            log.info("the outside monitor accepts heartbeats again")
        self._problem = problem

    def _is_due(self, kind: Signal, now: datetime) -> bool:
        if kind != self._latest or self._sent_at is None:
            return True
        return not timedelta(0) <= now - self._sent_at < timedelta(seconds=MONITOR_SECONDS)


def _with_ending(url: str, ending: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + ending)) if ending else url
