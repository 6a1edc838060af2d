"""Add pauses of the dispatcher, the time of the first attempt, and the marker of source folders."""

import sqlalchemy as sa
from alembic import op

from db.types import Id, UtcDateTime

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "pauses",
        sa.Column("id", Id, nullable=False),
        sa.Column("cause", sa.String(length=16), nullable=False),
        sa.Column("detail", sa.String(length=500), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("began_at", UtcDateTime(), nullable=False),
        sa.Column("probe_batch", sa.String(length=36), nullable=True),
        sa.Column("probed_at", UtcDateTime(), nullable=True),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("ended_by", sa.String(length=100), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pauses")),
    )
    op.create_index(
        "ix_pauses_in_force",
        "pauses",
        ["cause"],
        unique=True,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.add_column("work", sa.Column("tried_since", UtcDateTime(), nullable=True))
    op.add_column("sources", sa.Column("marked", sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:
    op.drop_column("sources", "marked")
    op.drop_column("work", "tried_since")
    op.drop_table("pauses")
