"""Check the database: reachable, schema, clock, site key, pauses and the age of the latest backup."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

from api.hashing import has_site_key, site_hasher
from cli.checks.check import Check
from cli.inputs.existing_database import one_line_errors, require_database_file
from cli.wording import counted
from db import queries, schema
from db.backup.contents import site_keys
from db.clock_skew import require_clock_agreement
from db.engine import Database, open_database
from db.queries import OptOut
from db.queries.backups import latest_backup
from nightread.clock import Clock, utc_now
from nightread.errors import StopWork, UsageFault
from nightread.settings import Settings

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_EVER = datetime(1970, 1, 1, tzinfo=UTC)


def check_database(settings: Settings, clock: Clock = utc_now) -> Iterator[Check]:
    """Check the database. If it does not exist yet, that is a warning; if it cannot be used, that is a failure."""
    try:
        require_database_file(settings)
    except UsageFault as fault:
        yield Check.warn("database", "does not exist yet", str(fault))
        return
    try:
        database = open_database(settings.sql_url)
    except (StopWork, ImportError) as problem:
        yield Check.fail("database", "cannot be opened", str(problem))
        return
    with closing(database):
        try:
            with one_line_errors():
                schema.require_newest(database)
                found = list(_checks(settings, database, clock))
        except StopWork as problem:
            yield Check.fail("database", "cannot be used", str(problem))
            return
        yield Check.ok("database", "SQLite" if database.is_sqlite else "PostgreSQL")
        yield from found


def _checks(settings: Settings, database: Database, clock: Clock) -> Iterator[Check]:
    yield from _clock(database, clock)
    if pauses := queries.pauses(database):
        causes = ", ".join(pause.cause for pause in pauses)
        yield Check.warn("dispatch", f"paused ({causes})", "Run `nightread status` for the reason and the remedy.")
    if has_site_key(settings):
        yield from _site_key(settings, database)
    if backup := _backup(settings, database, clock()):
        yield backup


def _clock(database: Database, clock: Clock) -> Iterator[Check]:
    try:
        require_clock_agreement(database, clock)
    except StopWork as problem:
        yield Check.fail("clock", "differs from the clock of the database", str(problem))
    else:
        if not database.is_sqlite:
            yield Check.ok("clock", "agrees with the clock of the database")


def _site_key(settings: Settings, database: Database) -> Iterator[Check]:
    key_id = site_hasher(settings).key_id
    if opt_outs := queries.opt_outs(database):
        yield _opt_outs(opt_outs, key_id)
    with database.read() as connection:
        used = site_keys(connection)
    if used and key_id not in used:
        found = f"{key_id}; the images in the database were recorded with {', '.join(used)}"
        remedy = "Set NIGHTREAD_SITE_KEY to the key of the workers, or earlier images are not found by patient."
        yield Check.fail("site key", found, remedy)


def _opt_outs(entries: list[OptOut], key_id: str) -> Check:
    """Check that the opt-out list was made with the present site key: entries of another key match no image."""
    others = sum(entry.key_id != key_id for entry in entries)
    if not others:
        return Check.ok("opt-outs", counted(len(entries), "patient"))
    return Check.fail(
        "opt-outs",
        f"{others:,} of {counted(len(entries), 'entry', 'entries')} made with another site key",
        "Images of these patients are analysed. Set NIGHTREAD_SITE_KEY to the right key, or add the patients again.",
    )


def _backup(settings: Settings, database: Database, now: datetime) -> Check | None:
    """Check the age of the latest backup; return None if there is no backup, and none is needed yet."""
    latest = latest_backup(database)
    if latest is None:
        if not settings.backup_alarm_days or not queries.has_arrivals(database, since=_EVER, until=now + _DAY):
            return None
        remedy = "Run `nightread backup --to DIR` each day, or `nightread backup --record` after your own backup."
        return Check.warn("backup", "none is recorded", remedy)
    age = now - latest
    found = f"{age / _DAY:.1f} days old" if age >= _DAY else f"{max(age, timedelta()) / _HOUR:.0f} hours old"
    if settings.backup_alarm_days and age > settings.backup_alarm_days * _DAY:
        remedy = "Find out why no newer backup was made (timer, disk); NIGHTREAD_BACKUP_ALARM_DAYS sets the limit."
        return Check.warn("backup", found, remedy)
    return Check.ok("backup", found)
