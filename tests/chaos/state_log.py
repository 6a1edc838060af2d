"""Record every change of a work state with database triggers, and find illegal transitions."""

from sqlalchemy import Connection, column, func, select, table, text

from db.engine import Database
from db.tables import FINAL, State

_LEGAL = {
    ("", State.RECEIVED),
    (State.RECEIVED, State.QUEUED),
    (State.QUEUED, State.RUNNING),
    (State.QUEUED, State.RECEIVED),
    (State.RUNNING, State.RECEIVED),
    *((State.RUNNING, final) for final in FINAL),
}
_TABLE = "CREATE TABLE state_log (work_id BIGINT NOT NULL, before TEXT NOT NULL, after TEXT NOT NULL)"
# Updates of a final row are recorded even if the state stays the same, because no code may change a final row.
_SQLITE = (
    (
        "CREATE TRIGGER state_log_insert AFTER INSERT ON work WHEN NEW.ordinal = 0 "
        "BEGIN INSERT INTO state_log VALUES (NEW.id, '', NEW.state); END"
    ),
    (
        "CREATE TRIGGER state_log_update AFTER UPDATE OF state ON work "
        "WHEN OLD.state <> NEW.state OR OLD.finished_at IS NOT NULL "
        "BEGIN INSERT INTO state_log VALUES (NEW.id, OLD.state, NEW.state); END"
    ),
)
_POSTGRESQL = (
    (
        "CREATE FUNCTION log_insert() RETURNS trigger AS "
        "$$ BEGIN INSERT INTO state_log VALUES (NEW.id, '', NEW.state); RETURN NULL; END $$ LANGUAGE plpgsql"
    ),
    (
        "CREATE FUNCTION log_update() RETURNS trigger AS "
        "$$ BEGIN INSERT INTO state_log VALUES (NEW.id, OLD.state, NEW.state); RETURN NULL; END $$ LANGUAGE plpgsql"
    ),
    (
        "CREATE TRIGGER state_log_insert AFTER INSERT ON work FOR EACH ROW WHEN (NEW.ordinal = 0) "
        "EXECUTE FUNCTION log_insert()"
    ),
    (
        "CREATE TRIGGER state_log_update AFTER UPDATE OF state ON work FOR EACH ROW "
        "WHEN (OLD.state <> NEW.state OR OLD.finished_at IS NOT NULL) "
        "EXECUTE FUNCTION log_update()"
    ),
)
_STATE_LOG = table("state_log", column("work_id"), column("before"), column("after"))


def install_triggers(database: Database) -> None:
    """Create the table and the triggers. The schema must exist, without any image."""

    def transaction(connection: Connection) -> None:
        for statement in (_TABLE, *(_SQLITE if database.is_sqlite else _POSTGRESQL)):
            connection.execute(text(statement))

    database.write(transaction)


def illegal_transitions(database: Database) -> list[str]:
    """Return a sentence for each kind of illegal transition."""
    counts = select(_STATE_LOG.c.before, _STATE_LOG.c.after, func.count(), func.min(_STATE_LOG.c.work_id)).group_by(
        _STATE_LOG.c.before, _STATE_LOG.c.after
    )
    with database.read() as connection:
        return [
            f"illegal transition {before or 'nothing'} -> {after}: {times} times, first in work {work_id}"
            for before, after, times, work_id in connection.execute(counts)
            if (before, after) not in _LEGAL
        ]
