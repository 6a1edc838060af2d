"""Add what drift compares: properties of images, intensities of inputs, and tables of nights and references."""

import sqlalchemy as sa
from alembic import op

from db.types import Id, Json, UtcDateTime

revision = "0025"
down_revision = "0023"


def upgrade() -> None:
    op.add_column("instances", sa.Column("device_model", sa.String(length=64), nullable=True))
    op.add_column("instances", sa.Column("photometric", sa.String(length=16), nullable=True))
    op.add_column("instances", sa.Column("pixel_spacing", sa.Float(), nullable=True))
    op.add_column("work", sa.Column("intensities", sa.BigInteger(), nullable=True))
    op.create_table(
        "drift_nights",
        sa.Column("evening", sa.String(length=10), nullable=False),
        sa.Column("bundle_id", Id, nullable=False),
        sa.Column("modality", sa.String(length=16), nullable=False),
        sa.Column("device_model", sa.String(length=64), nullable=False),
        sa.Column("view", sa.String(length=16), nullable=False),
        sa.Column("source", sa.String(length=200), nullable=False),
        sa.Column("images", sa.Integer(), nullable=False),
        sa.Column("counts", Json, nullable=False),
        sa.ForeignKeyConstraint(["bundle_id"], ["bundles.id"], name=op.f("fk_drift_nights_bundle_id")),
        sa.PrimaryKeyConstraint(
            "evening", "bundle_id", "modality", "device_model", "view", "source", name=op.f("pk_drift_nights")
        ),
    )
    op.create_table(
        "drift_references",
        sa.Column("id", Id, nullable=False),
        sa.Column("bundle_id", Id, nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("first_evening", sa.String(length=10), nullable=True),
        sa.Column("last_evening", sa.String(length=10), nullable=True),
        sa.Column("images", sa.Integer(), nullable=False),
        sa.Column("content", Json, nullable=False),
        sa.Column("made_at", UtcDateTime(), nullable=False),
        sa.Column("made_by", sa.String(length=100), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["bundle_id"], ["bundles.id"], name=op.f("fk_drift_references_bundle_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drift_references")),
    )
    op.create_index(
        "ix_drift_references_in_force",
        "drift_references",
        ["bundle_id"],
        unique=True,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "drift_results",
        sa.Column("evening", sa.String(length=10), nullable=False),
        sa.Column("bundle_id", Id, nullable=False),
        sa.Column("reference_id", Id, nullable=True),
        sa.Column("images", sa.Integer(), nullable=False),
        sa.Column("comparisons", Json, nullable=False),
        sa.ForeignKeyConstraint(["bundle_id"], ["bundles.id"], name=op.f("fk_drift_results_bundle_id")),
        sa.ForeignKeyConstraint(["reference_id"], ["drift_references.id"], name=op.f("fk_drift_results_reference_id")),
        sa.PrimaryKeyConstraint("evening", "bundle_id", name=op.f("pk_drift_results")),
    )


def downgrade() -> None:
    op.drop_table("drift_results")
    op.drop_table("drift_references")
    op.drop_table("drift_nights")
    op.drop_column("work", "intensities")
    op.drop_column("instances", "pixel_spacing")
    op.drop_column("instances", "photometric")
    op.drop_column("instances", "device_model")
