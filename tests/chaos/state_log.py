"""Every change of a state of work, written down by the database itself and held against what is legal."""

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
_TABLE = "CREATE TABLE journal (work_id BIGINT NOT NULL, before TEXT NOT NULL, after TEXT NOT NULL)"
# An update that leaves a final row in its state is written down too: nobody may touch it.
_SQLITE = (
    (
        "CREATE TRIGGER journal_insert AFTER INSERT ON work WHEN NEW.ordinal = 0 "
        "BEGIN INSERT INTO journal VALUES (NEW.id, '', NEW.state); END"
    ),
    (
        "CREATE TRIGGER journal_update AFTER UPDATE OF state ON work "
        "WHEN OLD.state <> NEW.state OR OLD.finished_at IS NOT NULL "
        "BEGIN INSERT INTO journal VALUES (NEW.id, OLD.state, NEW.state); END"
    ),
)
_POSTGRESQL = (
    (
        "CREATE FUNCTION note_insert() RETURNS trigger AS "
        "$$ BEGIN INSERT INTO journal VALUES (NEW.id, '', NEW.state); RETURN NULL; END $$ LANGUAGE plpgsql"
    ),
    (
        "CREATE FUNCTION note_update() RETURNS trigger AS "
        "$$ BEGIN INSERT INTO journal VALUES (NEW.id, OLD.state, NEW.state); RETURN NULL; END $$ LANGUAGE plpgsql"
    ),
    (
        "CREATE TRIGGER journal_insert AFTER INSERT ON work FOR EACH ROW WHEN (NEW.ordinal = 0) "
        "EXECUTE FUNCTION note_insert()"
    ),
    (
        "CREATE TRIGGER journal_update AFTER UPDATE OF state ON work FOR EACH ROW "
        "WHEN (OLD.state <> NEW.state OR OLD.finished_at IS NOT NULL) "
        "EXECUTE FUNCTION note_update()"
    ),
)
_STATE_LOG = table("journal", column("work_id"), column("before"), column("after"))


def install_triggers(database: Database) -> None:
    """From now on; the schema is there and no image is."""

    def transaction(connection: Connection) -> None:
        for statement in (_TABLE, *(_SQLITE if database.is_sqlite else _POSTGRESQL)):
            connection.execute(text(statement))

    database.write(transaction)


def illegal_transitions(database: Database) -> list[str]:
    """The steps that should not have been, in words."""
    counts = select(_STATE_LOG.c.before, _STATE_LOG.c.after, func.count(), func.min(_STATE_LOG.c.work_id)).group_by(
        _STATE_LOG.c.before, _STATE_LOG.c.after
    )
    with database.read() as connection:
        return [
            f"illegal step {before or 'nothing'} -> {after}: {times} times, first by work {work_id}"
            for before, after, times, work_id in connection.execute(counts)
            if (before, after) not in _LEGAL
        ]
