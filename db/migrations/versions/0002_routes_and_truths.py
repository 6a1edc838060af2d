"""Add routing rules, results of several bundles for one image, and ground truth."""

import sqlalchemy as sa
from alembic import op

from db.types import Id, Json, UtcDateTime

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "routes",
        sa.Column("id", Id, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("bundle_id", Id, nullable=False),
        sa.Column("role", sa.String(length=8), nullable=False),
        sa.Column("conditions", Json, nullable=False),
        sa.Column("began_at", UtcDateTime(), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["bundle_id"], ["bundles.id"], name=op.f("fk_routes_bundle_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_routes")),
    )
    op.create_index(
        "ix_routes_in_force",
        "routes",
        ["position"],
        unique=False,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "truths",
        sa.Column("subject", sa.String(length=9), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("label", sa.String(length=100), nullable=False),
        sa.Column("present", sa.Boolean(), nullable=False),
        sa.Column("imported_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("subject", "key", "label", name=op.f("pk_truths")),
    )
    op.add_column("work", sa.Column("route_id", Id, nullable=True))
    op.add_column("work", sa.Column("matched", Json, nullable=True))
    op.add_column("work", sa.Column("shadow", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_index(
        "ix_work_further",
        "work",
        ["bundle_id", "instance_id"],
        unique=False,
        sqlite_where=sa.text("ordinal > 0"),
        postgresql_where=sa.text("ordinal > 0"),
    )


def downgrade() -> None:
    op.drop_index("ix_work_further", "work")
    op.drop_column("work", "shadow")
    op.drop_column("work", "matched")
    op.drop_column("work", "route_id")
    op.drop_table("truths")
    op.drop_table("routes")
