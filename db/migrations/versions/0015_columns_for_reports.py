"""Add columns for reports, a stored suspicion, indexes for every filter, the calendar of nights, and views."""

import sqlalchemy as sa
from alembic import op

from db.types import Json, UtcDateTime

revision = "0015"
down_revision = "0014"

_FACTS = {
    "view_position": 16,
    "laterality": 1,
    "manufacturer": 64,
    "station_name": 16,
    "patient_sex": 1,
    "age_band": 8,
}


_INDEXES = {
    "ix_instances_unowned": ("instances", ("sha256",), "unowned IS NOT NULL"),
    "ix_work_score": ("work", ("score", "instance_id", "label"), "score IS NOT NULL"),
    "ix_work_finished_at": ("work", ("finished_at", "instance_id"), "finished_at IS NOT NULL"),
    "ix_work_suspicion": ("work", ("suspicion", "instance_id", "label"), "suspicion IS NOT NULL"),
}
_OCCURRENCES = """
    CREATE TABLE occurrences (
        kind VARCHAR(12) NOT NULL,
        value VARCHAR(64) NOT NULL,
        block {id} NOT NULL,
        CONSTRAINT pk_occurrences PRIMARY KEY (kind, value, block)
    ) {option}"""
_MODELS = """
    INSERT INTO occurrences (kind, value, block)
    SELECT DISTINCT 'model', CAST(bundle_id AS VARCHAR), instance_id / 256 FROM work WHERE bundle_id IS NOT NULL
"""
_CHANGED = ("score", "finished_at")
"""Indexes of these columns had no image id before."""
_UNOWNED = """
    UPDATE instances SET unowned = TRUE
    WHERE sha256 IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM contents JOIN work ON work.id = contents.work_id
        WHERE contents.sha256 = instances.sha256 AND work.instance_id = instances.id
    )
"""


def upgrade() -> None:
    for name, length in _FACTS.items():
        op.add_column("instances", sa.Column(name, sa.String(length=length), nullable=True))
    op.add_column("instances", sa.Column("unowned", sa.Boolean(), nullable=True))
    op.add_column("work", sa.Column("suspicion", sa.Float(), nullable=True))
    op.execute(_UNOWNED)
    _compute_suspicion()
    for column in _CHANGED:
        op.drop_index(f"ix_work_{column}", "work")
    for name, (table, columns, condition) in _INDEXES.items():
        where = sa.text(condition)
        op.create_index(name, table, list(columns), sqlite_where=where, postgresql_where=where)
    op.create_table(
        "nights",
        sa.Column("evening", sa.String(length=10), nullable=False),
        sa.Column("began_at", UtcDateTime(), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("evening", name=op.f("pk_nights")),
        sa.UniqueConstraint("began_at", name=op.f("uq_nights_began_at")),
    )
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    words = _SQLITE if is_sqlite else _POSTGRESQL
    op.execute(_OCCURRENCES.format(**words))
    op.execute(_MODELS)
    for name, statement in _VIEWS.items():
        op.execute(f"CREATE VIEW {name} AS {statement.format(**words)}")


def downgrade() -> None:
    for name in _VIEWS:
        op.execute(f"DROP VIEW {name}")
    op.drop_table("nights")
    op.drop_table("occurrences")
    for name, (table, _, _) in _INDEXES.items():
        op.drop_index(name, table)
    for column in _CHANGED:
        where = sa.text(f"{column} IS NOT NULL")
        op.create_index(f"ix_work_{column}", "work", [column], sqlite_where=where, postgresql_where=where)
    op.drop_column("work", "suspicion")
    for name in ("unowned", *_FACTS):
        op.drop_column("instances", name)


def _compute_suspicion() -> None:
    """Compute the suspicion for each bundle with a normal label, as db.ledger.bundles does for new results."""
    connection = op.get_bind()
    bundles = connection.execute(sa.select(_bundles).where(_bundles.c.normal_label.is_not(None))).all()
    for bundle in bundles:
        scores = [_work.c.scores[position].as_float() for position in range(len(bundle.labels))]
        if bundle.normal_label in bundle.labels:
            suspicion = sa.literal(1.0) - scores[bundle.labels.index(bundle.normal_label)]
        else:
            greatest = sa.func.max if connection.dialect.name == "sqlite" else sa.func.greatest
            suspicion = greatest(*scores) if len(scores) > 1 else scores[0]
        connection.execute(sa.update(_work).where(_work.c.bundle_id == bundle.id).values(suspicion=suspicion))


_bundles = sa.table("bundles", sa.column("id"), sa.column("labels", Json), sa.column("normal_label"))
_work = sa.table("work", sa.column("bundle_id"), sa.column("scores", Json), sa.column("suspicion"))

# As in nightread.reasons when this schema was made; a test compares them.
_DEFECTIVE = (
    "'not_dicom', 'empty', 'truncated', 'bad_header', 'no_pixel_data', 'bad_pixels', 'voi_unusable', "
    "'unsupported_syntax', 'too_large', 'bad_archive', 'archive_limits', 'archive_escapes', 'bad_dicomdir', "
    "'bad_manifest', 'bad_key_object'"
)
_SQLITE = {
    "id": "INTEGER",
    "option": "WITHOUT ROWID",
    "defective": _DEFECTIVE,
    "scores": """(
        SELECT json_group_object(label.value, score.value)
        FROM json_each(bundles.labels) label JOIN json_each(work.scores) score ON score.key = label.key
    )""",
    "quiet_since": "strftime('%Y-%m-%d %H:%M:%f', 'now', '-15 minutes')",
}
_POSTGRESQL = {
    "id": "BIGINT",
    "option": "",
    "defective": _DEFECTIVE,
    "scores": """(
        SELECT json_object_agg(label.value, score.value ORDER BY label.place)
        FROM json_array_elements_text(bundles.labels) WITH ORDINALITY AS label(value, place)
        JOIN json_array_elements(work.scores) WITH ORDINALITY AS score(value, place) ON score.place = label.place
    )""",
    "quiet_since": "now() - interval '15 minutes'",
}
_RESULTS = """
    SELECT
        instances.id AS image_id,
        sources.name AS source,
        CASE WHEN instances.purged_at IS NULL THEN sources.root || '/' || instances.uri END AS uri,
        work.state,
        work.reason,
        work.detail,
        work.duplicate_of,
        instances.superseded_by,
        instances.parent_id,
        instances.withdrawn_by,
        instances.withdrawn_code,
        instances.sha256,
        instances.sop_instance_uid,
        instances.series_instance_uid,
        instances.study_instance_uid,
        instances.modality,
        instances.body_part,
        instances.transfer_syntax,
        instances."rows",
        instances."columns",
        instances.frames,
        bundles.name AS model,
        bundles.version AS model_version,
        work.label,
        work.score,
        CASE WHEN work.scores IS NOT NULL AND bundles.id IS NOT NULL THEN {scores} END AS scores,
        work.attempts,
        instances.arrived_at AS received_at,
        work.finished_at,
        work.shadow,
        work.matched,
        work.remarks,
        instances.replaced_by,
        instances.member_name,
        instances.conflict_with,
        instances.purged_at,
        CASE
            WHEN senders.trust = '' THEN 'an unknown sender'
            WHEN senders.id IS NOT NULL
            THEN coalesce(nullif(senders.calling_ae, ''), 'a caller without AE title') || ' at ' || senders.address
        END AS sender,
        instances.study_date,
        instances.view_position,
        instances.laterality,
        instances.manufacturer,
        instances.station_name,
        instances.patient_sex,
        instances.age_band,
        work.suspicion,
        (
            SELECT CASE WHEN nights.ended_at > instances.arrived_at THEN nights.evening END
            FROM nights WHERE nights.began_at <= instances.arrived_at
            ORDER BY nights.began_at DESC LIMIT 1
        ) AS night
    FROM instances
    JOIN work ON work.instance_id = instances.id AND work.ordinal = 0
    JOIN sources ON sources.id = instances.source_id
    LEFT JOIN bundles ON bundles.id = work.bundle_id
    LEFT JOIN senders ON senders.id = instances.sender_id
"""
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
# CROSS JOIN makes SQLite read the tables in this order; PostgreSQL takes it for JOIN.
_NIGHTS = """
    SELECT
        nights.evening AS night,
        nights.began_at,
        nights.ended_at,
        count(*) AS arrived,
        count(*) FILTER (WHERE work.state = 'done') AS done,
        count(*) FILTER (WHERE work.state = 'duplicate') AS duplicate,
        count(*) FILTER (WHERE work.state = 'rejected') AS rejected,
        count(*) FILTER (WHERE work.state = 'failed') AS failed,
        count(*) FILTER (WHERE work.state = 'expanded') AS expanded,
        count(*) FILTER (WHERE work.state = 'received') AS waiting,
        count(*) FILTER (WHERE work.state = 'queued') AS queued,
        count(*) FILTER (WHERE work.state = 'running') AS running
    FROM nights
    CROSS JOIN instances
    CROSS JOIN work
    WHERE instances.arrived_at >= nights.began_at AND instances.arrived_at < nights.ended_at
        AND work.instance_id = instances.id AND work.ordinal = 0
    GROUP BY nights.evening, nights.began_at, nights.ended_at
"""
_BATCHES = """
    SELECT
        id AS batch_id, images, bytes, created_at, claimed_at, finished_at, node, process_index, release, seconds,
        outcomes
    FROM batches
"""
_VIEWS = {"v_results": _RESULTS, "v_studies": _STUDIES, "v_nights": _NIGHTS, "v_batches": _BATCHES}
