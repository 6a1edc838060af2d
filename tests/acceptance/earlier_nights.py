"""Write a week of earlier nights into a new database, and install a model that a test may damage."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, time, timedelta
from pathlib import Path

from ledger_driver import LedgerDriver, SettableClock, build_arrivals, build_outcome

from cli.embedded.state_folder import make_state_folder
from db import ledger, schema
from db.engine import Database, open_database
from db.ledger.values import CallingEntity
from models.bundle import Bundle, load_bundle, save_bundle
from models.catalogue import SHIPPED

NIGHTS = 7
IMAGES_PER_NIGHT = 110
_SCORES = (0.94, 0.96)


def install_model(state: Path, name: str) -> Bundle:
    """Copy the bundle `phantom` into the state folder under another name, so that a test may damage it."""
    make_state_folder(state)
    shipped, folder = load_bundle(SHIPPED / "phantom"), state / "bundles" / name
    folder.mkdir()
    for file in shipped.files:
        shutil.copy(shipped.path / file, folder)
    return save_bundle(replace(shipped, name=name, version="1"), folder)


def write_earlier_nights(state: Path, *, source: str, sender: str, bundle: Bundle, began_at: datetime) -> int:
    """Store a week in which `sender` sent its images at the start of each night; return the number of the images.

    The night at `began_at` is the present one. The model found its labels equally often in each night. A backup was
    made lately.
    """
    database = open_database(f"sqlite:///{state / 'nightread.sqlite3'}")
    try:
        schema.upgrade(database)
        clock = SettableClock(now=began_at - timedelta(days=NIGHTS))
        source_id = ledger.ensure_source(database, name=source, kind="receiver", root=str(state), now=clock())
        driver = LedgerDriver(database=database, clock=clock, source_id=source_id)
        for _ in range(NIGHTS):
            _send(driver, sender)
            _analyse(driver, bundle)
            clock.advance(days=1)
        _note_backup(database, began_at)
    finally:
        database.close()
    return NIGHTS * IMAGES_PER_NIGHT


def start_of_night(now: datetime, *, minutes_ago: int) -> tuple[datetime, time]:
    """Return when a night began so many minutes ago, which is a full minute, and the setting for it (UTC)."""
    began_at = (now - timedelta(minutes=minutes_ago)).replace(second=0, microsecond=0)
    return began_at, began_at.time()


def _send(driver: LedgerDriver, title: str) -> None:
    arrivals = build_arrivals(IMAGES_PER_NIGHT, sender=CallingEntity(title, "127.0.0.1"))
    ledger.receive(
        driver.database,
        source_id=driver.source_id,
        arrivals=arrivals,
        associations=[],
        priority=5,
        now=driver.clock.advance(seconds=1),
    )
    driver.clock.advance(seconds=-1)


def _analyse(driver: LedgerDriver, bundle: Bundle) -> None:
    bundle_id = _registered(driver, bundle)
    for batch in driver.form(images=IMAGES_PER_NIGHT):
        claimed = driver.claim(batch)
        fields = [_fields(bundle.labels, bundle_id, number) for number in range(len(claimed))]
        driver.record(batch, [build_outcome(image, **each) for image, each in zip(claimed, fields, strict=True)])


def _registered(driver: LedgerDriver, bundle: Bundle) -> int:
    return ledger.register_bundle(
        driver.database,
        name=bundle.name,
        version=bundle.version,
        digest=bundle.digest,
        labels=bundle.labels,
        normal_label=bundle.postprocessing.normal_label,
        now=driver.clock(),
    )


def _fields(labels: Sequence[str], bundle_id: int, number: int) -> dict[str, object]:
    """Return the result of one image: each label in turn."""
    return {"label": labels[number % len(labels)], "score": _SCORES[number % 2], "bundle_id": bundle_id}


def _note_backup(database: Database, now: datetime) -> None:
    ledger.write_entry(database, "database.backup", {"taken_at": now.isoformat()}, actor="cron", now=now)
