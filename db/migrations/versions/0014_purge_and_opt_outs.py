"""Add the time at which an image was purged, the list of patients who opted out, and an index for the audit table."""

import sqlalchemy as sa
from alembic import op

from db.types import UtcDateTime

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.add_column("instances", sa.Column("purged_at", UtcDateTime(), nullable=True))
    op.create_table(
        "opt_outs",
        sa.Column("patient_key", sa.String(length=64), nullable=False),
        sa.Column("number_key", sa.String(length=64), nullable=True),
        sa.Column("key_id", sa.String(length=8), nullable=False),
        sa.Column("added_at", UtcDateTime(), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.PrimaryKeyConstraint("patient_key", name=op.f("pk_opt_outs")),
    )
    op.create_index("ix_audit_at", "audit", ["at"])


def downgrade() -> None:
    op.drop_index("ix_audit_at", "audit")
    op.drop_table("opt_outs")
    op.drop_column("instances", "purged_at")
