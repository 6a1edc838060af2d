"""Create the first schema."""

import sqlalchemy as sa
from alembic import op

from db.types import Id, Json, UtcDateTime

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("id", Id, nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("action", sa.String(length=50), nullable=False),
        sa.Column("detail", Json, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_table(
        "batches",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("images", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("claimed_at", UtcDateTime(), nullable=True),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.Column("node", sa.String(length=200), nullable=True),
        sa.Column("boot_id", sa.String(length=36), nullable=True),
        sa.Column("process_index", sa.Integer(), nullable=True),
        sa.Column("release", sa.String(length=50), nullable=True),
        sa.Column("seconds", Json, nullable=True),
        sa.Column("outcomes", Json, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batches")),
    )
    op.create_index("ix_batches_created_at", "batches", ["created_at"], unique=False)
    op.create_index(
        "ix_batches_open",
        "batches",
        ["created_at"],
        unique=False,
        sqlite_where=sa.text("finished_at IS NULL"),
        postgresql_where=sa.text("finished_at IS NULL"),
    )
    op.create_table(
        "bundles",
        sa.Column("id", Id, nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("version", sa.String(length=50), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("labels", Json, nullable=False),
        sa.Column("normal_label", sa.String(length=100), nullable=True),
        sa.Column("registered_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bundles")),
        sa.UniqueConstraint("digest", name=op.f("uq_bundles_digest")),
    )
    op.create_table(
        "sources",
        sa.Column("id", Id, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("root", sa.Text(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("report", Json, nullable=True),
        sa.Column("reported_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sources")),
        sa.UniqueConstraint("name", name=op.f("uq_sources_name")),
    )
    op.create_table(
        "workers",
        sa.Column("node", sa.String(length=200), nullable=False),
        sa.Column("boot_id", sa.String(length=36), nullable=False),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.Column("device", sa.String(length=100), nullable=False),
        sa.Column("release", sa.String(length=50), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("heartbeat_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("node", name=op.f("pk_workers")),
    )
    op.create_table(
        "instances",
        sa.Column("id", Id, nullable=False),
        sa.Column("source_id", Id, nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("uri_key", sa.String(length=32), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("arrived_at", UtcDateTime(), nullable=False),
        sa.Column("parent_id", Id, nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=True),
        sa.Column("series_instance_uid", sa.String(length=64), nullable=True),
        sa.Column("study_instance_uid", sa.String(length=64), nullable=True),
        sa.Column("sop_class_uid", sa.String(length=64), nullable=True),
        sa.Column("transfer_syntax", sa.String(length=64), nullable=True),
        sa.Column("modality", sa.String(length=16), nullable=True),
        sa.Column("body_part", sa.String(length=16), nullable=True),
        sa.Column("image_type", sa.String(length=64), nullable=True),
        sa.Column("study_date", sa.String(length=8), nullable=True),
        sa.Column("rows", sa.Integer(), nullable=True),
        sa.Column("columns", sa.Integer(), nullable=True),
        sa.Column("frames", sa.Integer(), nullable=True),
        sa.Column("patient_key", sa.String(length=64), nullable=True),
        sa.Column("accession_key", sa.String(length=64), nullable=True),
        sa.Column("key_id", sa.String(length=8), nullable=True),
        sa.Column("decoder", sa.String(length=64), nullable=True),
        sa.Column("superseded_by", Id, nullable=True),
        sa.ForeignKeyConstraint(["parent_id"], ["instances.id"], name=op.f("fk_instances_parent_id")),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_instances_source_id")),
        sa.ForeignKeyConstraint(["superseded_by"], ["instances.id"], name=op.f("fk_instances_superseded_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instances")),
        sa.UniqueConstraint(
            "source_id", "uri_key", "size", "mtime_ns", name=op.f("uq_instances_source_id_uri_key_size_mtime_ns")
        ),
    )
    op.create_index(
        "ix_instances_accession_key",
        "instances",
        ["accession_key"],
        unique=False,
        sqlite_where=sa.text("accession_key IS NOT NULL"),
        postgresql_where=sa.text("accession_key IS NOT NULL"),
    )
    op.create_index("ix_instances_arrived_at", "instances", ["arrived_at"], unique=False)
    op.create_index(
        "ix_instances_modality",
        "instances",
        ["modality", "id"],
        unique=False,
        sqlite_where=sa.text("modality IS NOT NULL"),
        postgresql_where=sa.text("modality IS NOT NULL"),
    )
    op.create_index(
        "ix_instances_patient_key",
        "instances",
        ["patient_key"],
        unique=False,
        sqlite_where=sa.text("patient_key IS NOT NULL"),
        postgresql_where=sa.text("patient_key IS NOT NULL"),
    )
    op.create_index(
        "ix_instances_sop_instance_uid",
        "instances",
        ["sop_instance_uid", "superseded_by"],
        unique=False,
        sqlite_where=sa.text("sop_instance_uid IS NOT NULL"),
        postgresql_where=sa.text("sop_instance_uid IS NOT NULL"),
    )
    op.create_index(
        "ix_instances_study_instance_uid",
        "instances",
        ["study_instance_uid"],
        unique=False,
        sqlite_where=sa.text("study_instance_uid IS NOT NULL"),
        postgresql_where=sa.text("study_instance_uid IS NOT NULL"),
    )
    op.create_index(
        "ix_instances_superseded_by",
        "instances",
        ["superseded_by"],
        unique=False,
        sqlite_where=sa.text("superseded_by IS NOT NULL"),
        postgresql_where=sa.text("superseded_by IS NOT NULL"),
    )
    op.create_table(
        "work",
        sa.Column("id", Id, nullable=False),
        sa.Column("instance_id", Id, nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("bundle_id", Id, nullable=True),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("batch_id", sa.String(length=36), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("deaths", sa.Integer(), nullable=False),
        sa.Column("expiries", sa.Integer(), nullable=False),
        sa.Column("lease_until", UtcDateTime(), nullable=True),
        sa.Column("not_before", UtcDateTime(), nullable=True),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("alone", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=True),
        sa.Column("detail", sa.String(length=500), nullable=True),
        sa.Column("duplicate_of", Id, nullable=True),
        sa.Column("label", sa.String(length=100), nullable=True),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("scores", Json, nullable=True),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint(
            "state IN ('received', 'queued', 'running', 'done', 'duplicate', 'rejected', 'failed', 'expanded')",
            name=op.f("ck_work_state"),
        ),
        sa.ForeignKeyConstraint(["bundle_id"], ["bundles.id"], name=op.f("fk_work_bundle_id")),
        sa.ForeignKeyConstraint(["duplicate_of"], ["instances.id"], name=op.f("fk_work_duplicate_of")),
        sa.ForeignKeyConstraint(["instance_id"], ["instances.id"], name=op.f("fk_work_instance_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_work")),
        sa.UniqueConstraint("instance_id", "ordinal", name=op.f("uq_work_instance_id_ordinal")),
    )
    op.create_index(
        "ix_work_batch",
        "work",
        ["batch_id"],
        unique=False,
        sqlite_where=sa.text("state IN ('queued', 'running')"),
        postgresql_where=sa.text("state IN ('queued', 'running')"),
    )
    op.create_index(
        "ix_work_finished_at",
        "work",
        ["finished_at"],
        unique=False,
        sqlite_where=sa.text("finished_at IS NOT NULL"),
        postgresql_where=sa.text("finished_at IS NOT NULL"),
    )
    op.create_index(
        "ix_work_label",
        "work",
        ["label", "instance_id"],
        unique=False,
        sqlite_where=sa.text("label IS NOT NULL"),
        postgresql_where=sa.text("label IS NOT NULL"),
    )
    op.create_index(
        "ix_work_lease",
        "work",
        ["lease_until"],
        unique=False,
        sqlite_where=sa.text("state = 'running'"),
        postgresql_where=sa.text("state = 'running'"),
    )
    op.create_index(
        "ix_work_outcome",
        "work",
        ["state", "instance_id"],
        unique=False,
        sqlite_where=sa.text("finished_at IS NOT NULL"),
        postgresql_where=sa.text("finished_at IS NOT NULL"),
    )
    op.create_index(
        "ix_work_reason",
        "work",
        ["reason", "instance_id"],
        unique=False,
        sqlite_where=sa.text("reason IS NOT NULL"),
        postgresql_where=sa.text("reason IS NOT NULL"),
    )
    op.create_index(
        "ix_work_received",
        "work",
        ["priority", "id"],
        unique=False,
        sqlite_where=sa.text("state = 'received'"),
        postgresql_where=sa.text("state = 'received'"),
    )
    op.create_index(
        "ix_work_score",
        "work",
        ["score"],
        unique=False,
        sqlite_where=sa.text("score IS NOT NULL"),
        postgresql_where=sa.text("score IS NOT NULL"),
    )
    op.create_table(
        "contents",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("work_id", Id, nullable=False),
        sa.ForeignKeyConstraint(["work_id"], ["work.id"], name=op.f("fk_contents_work_id")),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_contents")),
    )
    op.create_table(
        "predictions",
        sa.Column("work_id", Id, nullable=False),
        sa.Column("frame", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("label", sa.String(length=100), nullable=True),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("scores", Json, nullable=False),
        sa.ForeignKeyConstraint(["work_id"], ["work.id"], name=op.f("fk_predictions_work_id")),
        sa.PrimaryKeyConstraint("work_id", "frame", name=op.f("pk_predictions")),
    )


def downgrade() -> None:
    op.drop_table("predictions")
    op.drop_table("contents")
    op.drop_table("work")
    op.drop_table("instances")
    op.drop_table("workers")
    op.drop_table("sources")
    op.drop_table("bundles")
    op.drop_table("batches")
    op.drop_table("audit")
