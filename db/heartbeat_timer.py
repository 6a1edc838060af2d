"""Send the heartbeat of this process every ten seconds."""

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from hashlib import blake2b
from typing import Any
from uuid import uuid4

from sqlalchemy.exc import SQLAlchemyError

from db import error_messages, ledger
from db.clock_skew import seconds_ahead
from db.engine import Database
from db.ledger import Heartbeat, PartKind
from db.ledger.heartbeats import HEARTBEAT_SECONDS
from db.retry import OutageLog
from nightread.clock import Clock, utc_now
from nightread.errors import StopWork, UsageFault

log = logging.getLogger(__name__)

_JOIN_SECONDS = 0.5
"""Longest wait for the thread to end. If the thread still waits for the database, it ends with the process."""


class HeartbeatTimer:
    """Writes the heartbeat of one part, and heartbeats for parts without access to the database: Redis and Flower."""

    def __init__(
        self,
        database: Database,
        part: PartKind,
        detail: Mapping[str, Any] | None = None,
        *,
        serves: Sequence[object] = (),
        seen: Callable[[], Iterable[Heartbeat]] = tuple,
        clock: Clock = utc_now,
        ahead: Callable[[Database], float] = seconds_ahead,
    ) -> None:
        """`serves` distinguishes this part from other parts of the same kind on this host.

        `seen` is called before each heartbeat and returns the heartbeats of other parts; it must not raise.
        """
        self._database = database
        self._part = part
        self._node = node_name(serves)
        self._boot_id = str(uuid4())
        self.detail = dict(detail or {})
        self._seen = seen
        self._clock = clock
        self._ahead = ahead
        self._worked_at: datetime | None = None
        self._outage = OutageLog(log, "the heartbeat was not written")
        self._due = float("-inf")

    def note_work(self) -> None:
        """Note that the main loop begins a round. This takes less than 1 us and does not access the database."""
        self._worked_at = self._clock()

    def send_if_due(self) -> None:
        """Send a heartbeat if ten seconds have passed since the last one.

        A process without a thread for heartbeats calls this in its loop.
        """
        if time.monotonic() >= self._due:
            self.send()

    def send(self) -> None:
        """Send one heartbeat; log a warning if the database is unavailable."""
        self._due = time.monotonic() + HEARTBEAT_SECONDS
        own = Heartbeat(
            part=self._part,
            node=self._node,
            boot_id=self._boot_id,
            detail=self.detail,
            worked_at=self._worked_at,
        )
        try:
            ledger.record_heartbeats(
                self._database,
                [own, *self._seen()],
                now=self._clock(),
                ahead_seconds=self._ahead(self._database),
            )
        except SQLAlchemyError as error:
            self._outage.failed(error)
        except StopWork as error:
            log.warning("the heartbeat was not written: %s", error)
        else:
            self._outage.succeeded()

    def send_until(self, stop: threading.Event) -> None:
        """Send heartbeats until `stop` is set."""
        while not stop.is_set():
            self.send()
            stop.wait(HEARTBEAT_SECONDS)

    def record_stop(self) -> None:
        """Store that this part was stopped on purpose; log a warning if the database is unavailable."""
        try:
            ledger.record_stop(self._database, part=self._part, boot_id=self._boot_id, now=self._clock())
        except SQLAlchemyError as error:
            log.warning(
                "the database failed, so the stop of this process was not recorded: %s", error_messages.describe(error)
            )
        except StopWork as error:
            log.warning("the stop of this process was not recorded: %s", error)


@contextmanager
def sent_heartbeats(timer: HeartbeatTimer) -> Iterator[HeartbeatTimer]:
    """Send heartbeats from a thread until the context ends, then store that the part was stopped on purpose.

    If an error ends the context, no stop is stored, and the part counts as crashed. UsageFault and Ctrl-C are no crash.
    """
    stop = threading.Event()
    thread = threading.Thread(target=timer.send_until, args=(stop,), name="heartbeat", daemon=True)
    thread.start()
    try:
        yield timer
    except (UsageFault, KeyboardInterrupt):
        _end(timer, stop, thread)
        raise
    except BaseException:
        stop.set()
        thread.join(_JOIN_SECONDS)
        raise
    _end(timer, stop, thread)


def node_name(serves: Sequence[object] = ()) -> str:
    """Return the name of this host; a digest of `serves` follows unless `serves` is empty."""
    host = socket.gethostname()
    if not serves:
        return host
    digest = blake2b(json.dumps([str(each) for each in serves]).encode(), digest_size=4).hexdigest()
    return f"{host}-{digest}"


def _end(timer: HeartbeatTimer, stop: threading.Event, thread: threading.Thread) -> None:
    stop.set()
    thread.join(_JOIN_SECONDS)
    timer.record_stop()
