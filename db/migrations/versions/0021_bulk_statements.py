"""Drop the foreign keys that PostgreSQL checks for every image.

PostgreSQL runs a query for each row that is inserted, which took half of its time. The keys are not needed: statements
that insert rows read or lock the named rows in the same transaction, and no program deletes named rows. The command
`nightread audit` finds rows that name a missing row (docs/decisions/0030-postgresql-in-bulk.md). SQLite keeps the keys,
because they cost nothing there.
"""

from alembic import op

revision = "0021"
down_revision = "0020"

_FOREIGN_KEYS = (
    ("work", "instance_id", "instances"),
    ("contents", "work_id", "work"),
    ("predictions", "work_id", "work"),
    ("instances", "source_id", "sources"),
)


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        return
    for table, column, _ in _FOREIGN_KEYS:
        op.drop_constraint(f"fk_{table}_{column}", table, type_="foreignkey")


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        return
    for table, column, referred in _FOREIGN_KEYS:
        op.create_foreign_key(f"fk_{table}_{column}", table, referred, [column], ["id"])
