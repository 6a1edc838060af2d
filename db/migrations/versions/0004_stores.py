"""Add receivers, stores, expected numbers of images, withdrawn images and deliveries of reports."""

import sqlalchemy as sa
from alembic import op

from db.types import Id, Json, UtcDateTime

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("sources", sa.Column("cursor", Json, nullable=True))
    op.add_column("instances", sa.Column("withdrawn_by", Id, nullable=True))
    op.add_column("instances", sa.Column("withdrawn_code", sa.String(length=16), nullable=True))
    op.create_index(
        "ix_instances_parent_id",
        "instances",
        ["parent_id"],
        sqlite_where=sa.text("parent_id IS NOT NULL"),
        postgresql_where=sa.text("parent_id IS NOT NULL"),
    )
    op.create_index(
        "ix_instances_withdrawn_by",
        "instances",
        ["withdrawn_by"],
        sqlite_where=sa.text("withdrawn_by IS NOT NULL"),
        postgresql_where=sa.text("withdrawn_by IS NOT NULL"),
    )
    op.create_table(
        "receipts",
        sa.Column("id", Id, nullable=False),
        sa.Column("source_id", Id, nullable=False),
        sa.Column("association", sa.String(length=36), nullable=False),
        sa.Column("calling_ae", sa.String(length=16), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("began_at", UtcDateTime(), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("received", sa.Integer(), nullable=False),
        sa.Column("refused", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("statuses", Json, nullable=False),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_receipts_source_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_receipts")),
        sa.UniqueConstraint("association", name=op.f("uq_receipts_association")),
    )
    op.create_index("ix_receipts_began_at", "receipts", ["began_at"])
    op.create_table(
        "expected",
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("source_id", Id, nullable=False),
        sa.Column("told_by", sa.String(length=16), nullable=False),
        sa.Column("images", sa.Integer(), nullable=False),
        sa.Column("told_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_expected_source_id")),
        sa.PrimaryKeyConstraint("study_instance_uid", "source_id", "told_by", name=op.f("pk_expected")),
    )
    op.create_index("ix_expected_told_at", "expected", ["told_at"])
    op.create_table(
        "withdrawals",
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("note_id", Id, nullable=False),
        sa.Column("code", sa.String(length=16), nullable=False),
        sa.ForeignKeyConstraint(["note_id"], ["instances.id"], name=op.f("fk_withdrawals_note_id")),
        sa.PrimaryKeyConstraint("study_instance_uid", "sop_instance_uid", "note_id", name=op.f("pk_withdrawals")),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", Id, nullable=False),
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("destination", sa.String(length=200), nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("replaces", sa.String(length=64), nullable=True),
        sa.Column("content", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=True),
        sa.Column("detail", sa.String(length=500), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("not_before", UtcDateTime(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sa.UniqueConstraint("sop_instance_uid", name=op.f("uq_deliveries_sop_instance_uid")),
    )
    op.create_index("ix_deliveries_study", "deliveries", ["study_instance_uid", "destination"])
    op.create_index(
        "ix_deliveries_waiting",
        "deliveries",
        ["not_before"],
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    )


def downgrade() -> None:
    op.drop_table("deliveries")
    op.drop_table("withdrawals")
    op.drop_table("expected")
    op.drop_table("receipts")
    op.drop_index("ix_instances_withdrawn_by", "instances")
    op.drop_index("ix_instances_parent_id", "instances")
    op.drop_column("instances", "withdrawn_code")
    op.drop_column("instances", "withdrawn_by")
    op.drop_column("sources", "cursor")
