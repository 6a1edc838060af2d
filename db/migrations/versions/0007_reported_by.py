"""Rename told_by and told_at of the table expected to reported_by and reported_at."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    _rename("told", "reported")


def downgrade() -> None:
    _rename("reported", "told")


def _rename(old: str, new: str) -> None:
    """Rename the columns, and create their index again, because SQLite cannot rename an index."""
    op.drop_index(f"ix_expected_{old}_at", "expected")
    op.execute(f"ALTER TABLE expected RENAME COLUMN {old}_by TO {new}_by")
    op.execute(f"ALTER TABLE expected RENAME COLUMN {old}_at TO {new}_at")
    op.create_index(f"ix_expected_{new}_at", "expected", [f"{new}_at"])
