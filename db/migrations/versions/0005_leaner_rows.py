"""Drop two foreign keys and an index of work, and make contents a table without row ids on SQLite.

SQLite writes a statement journal for each statement that changes a foreign key, which took a third of the time of
recording an outcome. No program deletes bundles or instances, and `nightread audit` finds results that name a missing
row (docs/decisions/0012-cost-of-recording-an-outcome.md).
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_FOREIGN_KEYS = {
    "fk_work_bundle_id": ("bundle_id", "bundles"),
    "fk_work_duplicate_of": ("duplicate_of", "instances"),
}
_CONTENTS = """
    CREATE TABLE contents (
        sha256 VARCHAR(64) NOT NULL,
        work_id INTEGER NOT NULL,
        CONSTRAINT pk_contents PRIMARY KEY (sha256),
        CONSTRAINT fk_contents_work_id FOREIGN KEY(work_id) REFERENCES work (id)
    )"""


def upgrade() -> None:
    op.drop_index("ix_work_lease", "work")
    if op.get_bind().dialect.name == "sqlite":
        _rewrite_work(add=False)
        _rebuild_contents(f"{_CONTENTS} WITHOUT ROWID")
    else:
        for name in _FOREIGN_KEYS:
            op.drop_constraint(name, "work", type_="foreignkey")


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        _rebuild_contents(_CONTENTS)
        _rewrite_work(add=True)
    else:
        for name, (column, table) in _FOREIGN_KEYS.items():
            op.create_foreign_key(name, "work", table, [column], ["id"])
    running = sa.text("state = 'running'")
    op.create_index("ix_work_lease", "work", ["lease_until"], sqlite_where=running, postgresql_where=running)


def _rewrite_work(*, add: bool) -> None:
    """Change the stored definition of the table, as SQLite's manual describes it (lang_altertable, section 7).

    The table cannot be replaced by a copy, because rows of other tables refer to it.
    """
    connection = op.get_bind()
    definition: str = connection.scalar(sa.text("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = 'work'"))
    for name, (column, table) in _FOREIGN_KEYS.items():
        constraint = f"CONSTRAINT {name} FOREIGN KEY({column}) REFERENCES {table} (id)"
        definition = _with(definition, constraint) if add else _without(definition, constraint)
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    try:
        connection.execute(
            sa.text("UPDATE sqlite_master SET sql = :definition WHERE type = 'table' AND name = 'work'"),
            {"definition": definition},
        )
        connection.exec_driver_sql(f"PRAGMA schema_version = {version + 1}")
    finally:
        connection.exec_driver_sql("PRAGMA writable_schema = OFF")


def _without(definition: str, constraint: str) -> str:
    before, found, after = definition.partition(constraint)
    if not found:
        name = constraint.split()[1]
        raise RuntimeError(f"the table work lacks the constraint {name}: it was changed. Restore a backup.")
    return before.rstrip().removesuffix(",") + after


def _with(definition: str, constraint: str) -> str:
    return f"{definition.rstrip().removesuffix(')').rstrip()}, \n\t{constraint}\n)"


def _rebuild_contents(definition: str) -> None:
    op.rename_table("contents", "old_contents")
    op.execute(definition)
    op.execute("INSERT INTO contents SELECT * FROM old_contents ORDER BY sha256")
    op.drop_table("old_contents")
