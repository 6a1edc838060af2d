"""Add series and their results, the geometry of slices, which bundles ask for series, and bad slices to v_studies."""

import sqlalchemy as sa
from alembic import op

from db.types import Id, Json, UtcDateTime

revision = "0026"
down_revision = "0025"

_UNFORMED = sa.text("state IN ('collecting', 'due', 'forming')")
_WITH_REASON = sa.text("reason IS NOT NULL")
_LABELLED = sa.text("label IS NOT NULL")


def upgrade() -> None:
    op.add_column("instances", sa.Column("geometry", sa.Text(), nullable=True))
    op.add_column("bundles", sa.Column("of_series", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "series",
        sa.Column("id", Id, nullable=False),
        sa.Column("series_instance_uid", sa.String(64), nullable=False),
        sa.Column("study_instance_uid", sa.String(64), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("began_at", UtcDateTime(), nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.Column("cause", sa.String(10), nullable=True),
        sa.Column("claim", sa.String(36), nullable=True),
        sa.Column("lease_until", UtcDateTime(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("formed_at", UtcDateTime(), nullable=True),
        sa.Column("reason", sa.String(32), nullable=True),
        sa.Column("stored_order", Json, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_series")),
        sa.UniqueConstraint("series_instance_uid", name=op.f("uq_series_series_instance_uid")),
    )
    op.create_index("ix_series_study_instance_uid", "series", ["study_instance_uid"])
    op.create_index("ix_series_unformed", "series", ["state", "id"], sqlite_where=_UNFORMED, postgresql_where=_UNFORMED)
    op.create_index("ix_series_changed_at", "series", ["changed_at"])
    op.create_index("ix_series_reason", "series", ["reason"], sqlite_where=_WITH_REASON, postgresql_where=_WITH_REASON)
    _create_results()
    _create_view_of_studies(f"{_DEFECTIVE}, 'bad_slice'")


def _create_results() -> None:
    op.create_table(
        "series_results",
        sa.Column("id", Id, nullable=False),
        sa.Column("series_id", Id, nullable=False),
        sa.Column("bundle_id", Id, nullable=False),
        sa.Column("stack", sa.Integer(), nullable=False),
        sa.Column("stack_name", sa.String(64), nullable=True),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("reason", sa.String(32), nullable=True),
        sa.Column("detail", sa.String(500), nullable=True),
        sa.Column("label", sa.String(100), nullable=True),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("suspicion", sa.Float(), nullable=True),
        sa.Column("scores", Json, nullable=True),
        sa.Column("slices", sa.Integer(), nullable=False),
        sa.Column("of_slices", sa.Integer(), nullable=False),
        sa.Column("partial", sa.Boolean(), nullable=False),
        sa.Column("remarks", sa.String(200), nullable=True),
        sa.Column("places", Json, nullable=False),
        sa.Column("evidence", Json, nullable=False),
        sa.Column("shadow", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("content", sa.String(64), nullable=False),
        sa.Column("formed_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_series_results")),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name=op.f("fk_series_results_series_id")),
        sa.ForeignKeyConstraint(["bundle_id"], ["bundles.id"], name=op.f("fk_series_results_bundle_id")),
        sa.UniqueConstraint(
            "series_id", "bundle_id", "stack", name=op.f("uq_series_results_series_id_bundle_id_stack")
        ),
    )
    op.create_index(
        "ix_series_results_label",
        "series_results",
        ["label", "score"],
        sqlite_where=_LABELLED,
        postgresql_where=_LABELLED,
    )


def downgrade() -> None:
    _create_view_of_studies(_DEFECTIVE)
    op.drop_table("series_results")
    op.drop_table("series")
    op.drop_column("bundles", "of_series")
    op.drop_column("instances", "geometry")


def _create_view_of_studies(defective: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP VIEW v_studies")
        create, quiet_since = "CREATE VIEW", "strftime('%Y-%m-%d %H:%M:%f', 'now', '-15 minutes')"
    else:
        create, quiet_since = "CREATE OR REPLACE VIEW", "now() - interval '15 minutes'"
    op.execute(f"{create} v_studies AS {_STUDIES.format(defective=defective, quiet_since=quiet_since)}")


# As in nightread.reasons before this schema; a test compares the view with the reasons of now.
_DEFECTIVE = (
    "'not_dicom', 'empty', 'truncated', 'bad_header', 'no_pixel_data', 'bad_pixels', 'voi_unusable', "
    "'unsupported_syntax', 'too_large', 'bad_archive', 'archive_limits', 'archive_escapes', 'bad_dicomdir', "
    "'bad_manifest', 'bad_key_object'"
)
_STUDIES = """
    SELECT
        counted.*,
        CASE
            WHEN expected >= 0 AND images >= expected THEN 'complete'
            WHEN expected >= 0 THEN 'incomplete'
            WHEN last_arrival <= {quiet_since} THEN 'quiet'
            ELSE 'arriving'
        END AS completeness
    FROM (
        SELECT
            named.study_instance_uid,
            count(DISTINCT instances.sop_instance_uid)
                FILTER (WHERE work.reason IS NULL OR work.reason <> 'own_result') AS images,
            count(DISTINCT instances.sop_instance_uid) FILTER (WHERE work.state IN ('done', 'duplicate')) AS done,
            count(DISTINCT instances.sop_instance_uid)
                FILTER (WHERE work.state = 'failed' OR work.reason IN ({defective})) AS no_result,
            count(DISTINCT instances.sop_instance_uid)
                FILTER (WHERE work.state IN ('received', 'queued', 'running')) AS unfinished,
            count(DISTINCT instances.sop_instance_uid) FILTER (WHERE instances.withdrawn_by IS NOT NULL) AS withdrawn,
            named.expected,
            named.reported_by,
            min(instances.arrived_at) AS first_arrival,
            max(instances.arrived_at) AS last_arrival
        FROM (
            SELECT
                known.study_instance_uid,
                coalesce(
                    max(CASE WHEN expected.reported_by = 'store' THEN expected.images END),
                    max(CASE WHEN expected.reported_by = 'manifest' THEN expected.images END),
                    max(CASE WHEN expected.reported_by = 'header' THEN expected.images END)
                ) AS expected,
                coalesce(
                    max(CASE WHEN expected.reported_by = 'store' THEN 'store' END),
                    max(CASE WHEN expected.reported_by = 'manifest' THEN 'manifest' END),
                    max(CASE WHEN expected.reported_by = 'header' THEN 'header' END)
                ) AS reported_by
            FROM (
                SELECT study_instance_uid FROM instances WHERE study_instance_uid IS NOT NULL
                UNION SELECT study_instance_uid FROM expected
            ) known
            LEFT JOIN expected ON expected.study_instance_uid = known.study_instance_uid
            GROUP BY known.study_instance_uid
        ) named
        LEFT JOIN instances ON instances.study_instance_uid = named.study_instance_uid
        LEFT JOIN work ON work.instance_id = instances.id AND work.ordinal = 0
        GROUP BY named.study_instance_uid, named.expected, named.reported_by
    ) counted
"""
