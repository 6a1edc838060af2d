"""A simulated site on an accelerated clock: scanners send, a worker analyses, and the watchdog looks on."""

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

from ledger_driver import LedgerDriver, SettableClock, build_arrivals, build_outcome
from sqlalchemy import Connection, insert
from web_server import Reply, Request, WebServer, running_web_server

from db import ledger
from db.condition import ConditionProblem, Level
from db.engine import Database
from db.ledger import Heartbeat, PartKind
from db.ledger.arrivals import register_within
from db.ledger.values import CallingEntity
from db.store_tables import deliveries, senders
from db.tables import State
from delivery.alarms import AlarmWatch
from nightread.nights import Nights
from nightread.reasons import Reason
from nightread.settings import Settings

ZONE = ZoneInfo("Europe/Berlin")
NIGHTS = Nights(start=time(18), end=time(7), zone=ZONE)
PARTS = (PartKind.DISPATCHER, PartKind.REDIS, PartKind.RECEIVER, PartKind.POLLER, PartKind.SENDER, PartKind.WATCHDOG)
SECRET = "a secret of the site"
FAILED: Mapping[str, Any] = {"state": State.FAILED, "reason": Reason.INTERNAL_ERROR}
_numbers = count(1)


@dataclass(frozen=True, kw_only=True)
class Scanner:
    """A scanner that sends one image every so many minutes of each night, with some jitter."""

    ae_title: str
    minutes: int
    weekdays: Sequence[int] = tuple(range(7))
    """Weekdays of the evenings on which it sends, Monday is 0."""


SCANNERS = (Scanner(ae_title="CT1", minutes=10), Scanner(ae_title="MR1", minutes=30, weekdays=(0, 1, 2, 3, 4)))


@dataclass(kw_only=True)
class NightSite:
    """A database in which time passes; attributes break what they name."""

    database: Database
    clock: SettableClock
    watch: AlarmWatch
    webhook: WebServer
    driver: LedgerDriver
    store_id: int
    sender_ids: Mapping[str, int]
    dead: set[PartKind] = field(default_factory=set)
    silent_scanners: set[str] = field(default_factory=set)
    worker_hangs: bool = False
    dispatcher_stopped: bool = False
    model_broken: bool = False
    store_away: bool = False
    poller_hangs: bool = False
    disk: list[ConditionProblem] = field(default_factory=list)
    chance: random.Random = field(default_factory=lambda: random.Random(7))
    bundle_id: int = 0
    _due: dict[str, datetime] = field(default_factory=dict)

    def send_images(self, now: datetime) -> None:
        """Let each scanner send what is due, between 18:05 and 06:00 of its nights."""
        evening = NIGHTS.latest(now)
        local = NIGHTS.local(now)
        if not (local.time() >= time(18, 5) or local.time() < time(6)):
            self._due.clear()
            return
        for scanner in SCANNERS:
            title = scanner.ae_title
            if evening.weekday() not in scanner.weekdays or title in self.silent_scanners:
                continue
            if now >= self._due.get(title, now):
                self._due[title] = now + timedelta(minutes=scanner.minutes * self.chance.uniform(0.7, 1.3))
                self.arrive(title, now)

    def arrive(self, title: str, now: datetime) -> None:
        """Register one image of this scanner."""
        self.database.write(lambda connection: self._register(connection, title, now))

    def remember(self, days: int) -> None:
        """Fill the days until now with the arrivals and results of usual nights, in a few transactions."""
        until, evening = self.clock(), NIGHTS.latest(self.clock())
        for before in range(days, 0, -1):
            self.clock.now = local(evening - timedelta(days=before), 18, 5)
            end = local(evening - timedelta(days=before - 1), 6)
            self.database.write(lambda connection, end=end: self._one_night(connection, end))
            self.clock.now = end
            self.analyse()
        self.clock.now = until

    def _one_night(self, connection: Connection, end: datetime) -> None:
        weekday = NIGHTS.latest(self.clock()).weekday()
        for scanner in SCANNERS:
            moment = self.clock()
            while weekday in scanner.weekdays and moment < end:
                self._register(connection, scanner.ae_title, moment)
                moment += timedelta(minutes=scanner.minutes * self.chance.uniform(0.7, 1.3))

    def _register(self, connection: Connection, title: str, now: datetime) -> None:
        sender = CallingEntity(title, "10.1.0.5")
        register_within(
            connection,
            source_id=self.driver.source_id,
            arrivals=build_arrivals(1, sender=sender),
            priority=5,
            now=now,
            senders={sender: self.sender_ids[title]},
        )

    def live(self, now: datetime) -> None:
        """Send the heartbeats of all parts that live, and the reports of the receiver and the poller."""
        details: dict[PartKind, dict[str, Any]] = {
            PartKind.RECEIVER: {"sources": ["pacs"]},
            PartKind.POLLER: {"sources": ["store"]},
        }
        beats = [
            Heartbeat(part=kind, node="host", boot_id="1", detail=details.get(kind, {}))
            for kind in PARTS
            if kind not in self.dead
        ]
        ledger.record_heartbeats(self.database, beats, now=now)
        if PartKind.WORKER not in self.dead:
            ledger.heartbeat(self.database, node="w1", boot_id="boot-1", slots=2, device="2 CPU", release="0", now=now)
        ledger.report_source(self.database, self.driver.source_id, {}, now=now)
        troubles = ["cannot be reached"] if self.store_away else []
        if not self.poller_hangs:
            ledger.report_source(self.database, self.store_id, {"troubles": troubles}, now=now)

    def analyse(self) -> None:
        """Form batches and analyse them, as far as dispatcher and worker work."""
        if self.dispatcher_stopped or PartKind.DISPATCHER in self.dead:
            return
        ledger.return_expired(self.database, now=self.clock())
        for batch in self.driver.form():
            claimed = self.driver.claim(batch)
            if self.worker_hangs:
                continue
            self.driver.record(batch, [build_outcome(image, **self._outcome()) for image in claimed])

    def _outcome(self) -> Mapping[str, Any]:
        if self.model_broken:
            return FAILED
        score = self.chance.uniform(0.05, 0.95)
        return {"label": "a" if score > 0.5 else "b", "score": score, "bundle_id": self.bundle_id}

    def step(self, *, seconds: float = 60, checks: bool = True) -> None:
        """Let this time pass, and check."""
        now = self.clock.advance(seconds=seconds)
        self.live(now)
        self.send_images(now)
        self.analyse()
        if checks:
            self.watch.check()

    def run_until(self, end: datetime, *, seconds: float = 60, checks: bool = True) -> None:
        """Let time pass until `end`."""
        while self.clock() < end:
            self.step(seconds=seconds, checks=checks)

    def minutes_until(self, rule: str, event: str, *, at_most: int) -> int:
        """Let time pass until the webhook gets this event of the rule; return the minutes."""
        for minutes in range(1, at_most + 1):
            self.step()
            if (rule, event) in self.events():
                return minutes
        raise AssertionError(f"no {event} of {rule} in {at_most} minutes: {self.events()}")

    def events(self) -> Counter[tuple[str, str]]:
        """Count what the webhook got, by rule and event."""
        bodies = [json_of(request) for request in self.webhook.asked]
        return Counter((body["rule"], body["event"]) for body in bodies)

    def back_up(self, now: datetime) -> None:
        """Note a backup in the audit table, as `nightread backup` does."""
        ledger.write_entry(self.database, "database.backup", {"taken_at": now.isoformat()}, actor="cron", now=now)

    def open_delivery(self, now: datetime) -> None:
        """Note a report that a destination does not take."""
        number = next(_numbers)
        row = {
            "study_instance_uid": f"1.2.{number}",
            "destination": "archive",
            "sop_instance_uid": f"1.3.{number}",
            "content": "c",
            "state": "waiting",
            "attempts": 3,
            "created_at": now,
        }
        self.database.write(lambda connection: connection.execute(insert(deliveries).values(**row)))


def json_of(request: Request) -> dict[str, Any]:
    """Return the body of a request."""
    body: dict[str, Any] = json.loads(request.body)
    return body


@contextmanager
def night_site(
    database: Database,
    start: datetime,
    *,
    answer: Callable[[Request], Reply] = lambda _request: Reply(),
    **settings: Any,
) -> Iterator[NightSite]:
    """A site whose clock stands at `start`, with a webhook that listens."""
    clock = SettableClock(now=start)
    source_id = ledger.ensure_source(database, name="pacs", kind="receiver", root="/spool", now=start)
    store_id = ledger.ensure_source(database, name="store", kind="dicomweb", root="http://store", now=start)
    ids = {}
    for scanner in SCANNERS:
        row = {"source_id": source_id, "calling_ae": scanner.ae_title, "address": "10.1.0.5"}
        done = database.write(lambda connection, row=row: connection.execute(insert(senders).values(**row)))
        ids[scanner.ae_title] = done.inserted_primary_key[0]
    driver = LedgerDriver(database=database, clock=clock, source_id=source_id)
    with running_web_server(answer) as server:
        channel = {"kind": "webhook", "name": "pager", "url": f"{server.url}/alarms", "secret": SECRET}
        known = Settings(**{"alarm_channels": [channel], "time_zone": str(ZONE), **settings})
        disk: list[ConditionProblem] = []
        watch = AlarmWatch(known, database, NIGHTS, further=lambda: disk, clock=clock)
        yield NightSite(
            database=database,
            clock=clock,
            watch=watch,
            webhook=server,
            driver=driver,
            store_id=store_id,
            sender_ids=ids,
            disk=disk,
            bundle_id=driver.register_trial_bundle(labels=("a", "b")),
        )


DISK_LOW = ConditionProblem(level=Level.DEGRADED, kind="disk", subject="", text="a disk of this host is nearly full")


def local(day: date, hour: int, minute: int = 0) -> datetime:
    """Return a local time of the site."""
    return NIGHTS.utc(datetime.combine(day, time(hour, minute)))
