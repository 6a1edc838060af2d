"""Add when a part was first seen on its host, and which workers take no more batches."""

import sqlalchemy as sa
from alembic import op

from db.types import UtcDateTime

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    op.add_column("heartbeats", sa.Column("first_started_at", UtcDateTime(), nullable=True))
    op.add_column("workers", sa.Column("first_started_at", UtcDateTime(), nullable=True))
    op.add_column("workers", sa.Column("draining_at", UtcDateTime(), nullable=True))


def downgrade() -> None:
    op.drop_column("workers", "draining_at")
    op.drop_column("workers", "first_started_at")
    op.drop_column("heartbeats", "first_started_at")
