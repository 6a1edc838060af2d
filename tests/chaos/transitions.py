"""Every change of a state of work, noted by the database itself and held against what is legal."""

from sqlalchemy import text

from db.engine import Database
from db.tables import FINAL

_LEGAL = {
    ("", "received"),
    ("received", "queued"),
    ("queued", "running"),
    ("queued", "received"),
    ("running", "received"),
    *(("running", final.value) for final in FINAL),
}

_TABLE = "CREATE TABLE transitions (work_id BIGINT NOT NULL, before TEXT NOT NULL, after TEXT NOT NULL)"
_SQLITE = (
    "CREATE TRIGGER note_insert AFTER INSERT ON work BEGIN INSERT INTO transitions VALUES (NEW.id, '', NEW.state); END",
    (
        "CREATE TRIGGER note_update AFTER UPDATE OF state ON work WHEN OLD.state <> NEW.state "
        "BEGIN INSERT INTO transitions VALUES (NEW.id, OLD.state, NEW.state); END"
    ),
)
_POSTGRESQL = (
    (
        "CREATE FUNCTION note() RETURNS trigger AS $$ BEGIN "
        "IF TG_OP = 'INSERT' THEN INSERT INTO transitions VALUES (NEW.id, '', NEW.state); "
        "ELSIF OLD.state <> NEW.state THEN INSERT INTO transitions VALUES (NEW.id, OLD.state, NEW.state); "
        "END IF; RETURN NULL; END $$ LANGUAGE plpgsql"
    ),
    "CREATE TRIGGER note AFTER INSERT OR UPDATE OF state ON work FOR EACH ROW EXECUTE FUNCTION note()",
)


def note_transitions(database: Database) -> None:
    """Have the database keep a list; before anything is registered."""
    for statement in (_TABLE, *(_SQLITE if database.is_sqlite else _POSTGRESQL)):
        database.write(lambda connection, statement=statement: connection.execute(text(statement)))


def illegal_transitions(database: Database) -> list[str]:
    """Those that should not be, each with how often it was."""
    with database.read() as connection:
        counted = connection.execute(text("SELECT before, after, count(*) FROM transitions GROUP BY 1, 2")).all()
    return [
        f"{before or 'nothing'} -> {after}: {times} times"
        for before, after, times in counted
        if (before, after) not in _LEGAL
    ]
