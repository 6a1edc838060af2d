"""Add the heartbeats of all parts of nightread, and columns for the clock and the latest crash of a worker."""

import sqlalchemy as sa
from alembic import op

from db.types import Json, UtcDateTime

revision = "0017"
down_revision = "0015"


def upgrade() -> None:
    op.create_table(
        "heartbeats",
        sa.Column("part", sa.String(length=16), nullable=False),
        sa.Column("node", sa.String(length=200), nullable=False),
        sa.Column("boot_id", sa.String(length=64), nullable=False),
        sa.Column("detail", Json, nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("heartbeat_at", UtcDateTime(), nullable=False),
        sa.Column("ahead_seconds", sa.Float(), nullable=False),
        sa.Column("worked_at", UtcDateTime(), nullable=True),
        sa.Column("stopped_at", UtcDateTime(), nullable=True),
        sa.Column("crashed_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("part", "node", name=op.f("pk_heartbeats")),
    )
    op.add_column("workers", sa.Column("ahead_seconds", sa.Float(), server_default="0", nullable=False))
    op.add_column("workers", sa.Column("crashed_at", UtcDateTime(), nullable=True))


def downgrade() -> None:
    op.drop_column("workers", "crashed_at")
    op.drop_column("workers", "ahead_seconds")
    op.drop_table("heartbeats")
