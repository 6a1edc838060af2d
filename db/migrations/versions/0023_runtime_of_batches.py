"""Add the runtime of the networks to batches, and to the view of batches as its last column."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    op.add_column("batches", sa.Column("runtime", sa.String(length=200), nullable=True))
    # PostgreSQL keeps the rights of readers only if the view is not dropped.
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"CREATE OR REPLACE VIEW v_batches AS {_WITH_RUNTIME}")
    else:
        op.execute("DROP VIEW v_batches")
        op.execute(f"CREATE VIEW v_batches AS {_WITH_RUNTIME}")


def downgrade() -> None:
    op.execute("DROP VIEW v_batches")
    op.drop_column("batches", "runtime")
    op.execute(f"CREATE VIEW v_batches AS {_WITHOUT_RUNTIME}")


_WITHOUT_RUNTIME = """
    SELECT
        id AS batch_id, images, bytes, created_at, claimed_at, finished_at, node, process_index, release, seconds,
        outcomes
    FROM batches
"""
_WITH_RUNTIME = """
    SELECT
        id AS batch_id, images, bytes, created_at, claimed_at, finished_at, node, process_index, release, seconds,
        outcomes, runtime
    FROM batches
"""
