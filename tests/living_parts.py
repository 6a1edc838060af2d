"""Write heartbeats of parts into a database."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from db import ledger
from db.condition import Part
from db.condition.parts import read_parts
from db.engine import Database
from db.ledger import Heartbeat, PartKind
from nightread.settings import Settings

ALL_PARTS = tuple(kind for kind in PartKind if kind is not PartKind.WORKER)


def beat(database: Database, *kinds: PartKind, now: datetime, ahead_seconds: float = 0.0, **fields: Any) -> None:
    """Store one heartbeat of each kind; keywords set fields of all of them."""
    beats = [Heartbeat(**{"part": kind, "node": "host", "boot_id": "1", **fields}) for kind in kinds]
    ledger.record_heartbeats(database, beats, now=now, ahead_seconds=ahead_seconds)


def worker_beat(database: Database, *, now: datetime, node: str = "w@host", boot_id: str = "1") -> None:
    """Store a heartbeat of a worker with two processes."""
    ledger.heartbeat(database, node=node, boot_id=boot_id, slots=2, device="2 CPU", release="0", now=now)


def all_alive(database: Database, *, now: datetime, sources: Sequence[str] = ()) -> None:
    """Store a heartbeat of a dispatcher, a worker, Redis and, with `sources`, a watcher of them."""
    beat(database, PartKind.DISPATCHER, PartKind.REDIS, now=now)
    worker_beat(database, now=now)
    if sources:
        beat(database, PartKind.WATCHER, now=now, detail={"sources": list(sources)})


def states(database: Database, now: datetime, **settings: Any) -> dict[str, str]:
    """Return the state of each part by its word; the clock of this host is that of the database."""
    return {part.kind.value: part.state.value for part in parts(database, now, **settings)}


def parts(database: Database, now: datetime, *, ahead_seconds: float = 0.0, **settings: Any) -> list[Part]:
    """Return the parts, for settings that name no source and no destination by default."""
    return read_parts(database, Settings(**settings), now=now, ahead_seconds=ahead_seconds)


def later(now: datetime, **duration: float) -> datetime:
    """Return a later time."""
    return now + timedelta(**duration)
