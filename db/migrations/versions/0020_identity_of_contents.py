"""Rename the identity of contents, which is a BLAKE3-256 from now on. Rows are not rewritten."""

from alembic import op

revision = "0020"
down_revision = "0019"

_TABLES = ("instances", "contents")


def upgrade() -> None:
    """Rename the columns and allow 71 characters. A SHA-256 of an earlier release stays: 64 digits without a prefix.

    PostgreSQL changes only its catalogue for a longer VARCHAR, and SQLite checks no lengths.
    """
    _replace_view(sha256=_NOTHING)
    for table in _TABLES:
        op.execute(f"ALTER TABLE {table} RENAME COLUMN sha256 TO content")
        _set_length(table, 71)
    _replace_view(sha256=_SHA256, content=_CONTENT)


def downgrade() -> None:
    """Remove every BLAKE3-256, because earlier releases would take it for a SHA-256."""
    op.execute("DROP VIEW v_results")
    op.execute("DELETE FROM contents WHERE length(content) > 64")
    op.execute("UPDATE instances SET content = NULL WHERE length(content) > 64")
    for table in _TABLES:
        _set_length(table, 64)
        op.execute(f"ALTER TABLE {table} RENAME COLUMN content TO sha256")
    _replace_view(sha256="instances.sha256")


def _replace_view(*, sha256: str, content: str = "") -> None:
    """Define v_results again. PostgreSQL then keeps the rights of roles that read it, and the column can be changed."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP VIEW IF EXISTS v_results")
        create, scores = "CREATE VIEW", _SQLITE_SCORES
    else:
        create, scores = "CREATE OR REPLACE VIEW", _POSTGRESQL_SCORES
    op.execute(f"{create} v_results AS {_RESULTS.format(sha256=sha256, content=content, scores=scores)}")


def _set_length(table: str, length: int) -> None:
    if op.get_bind().dialect.name != "sqlite":
        op.execute(f"ALTER TABLE {table} ALTER COLUMN content TYPE VARCHAR({length})")


_NOTHING = "CAST(NULL AS VARCHAR(64)) AS sha256"
_SHA256 = "CAST(CASE WHEN length(instances.content) = 64 THEN instances.content END AS VARCHAR(64)) AS sha256"
_CONTENT = """,
        CASE
            WHEN length(instances.content) = 64 THEN 'sha256:' || instances.content ELSE instances.content
        END AS content"""
_SQLITE_SCORES = """(
        SELECT json_group_object(label.value, score.value)
        FROM json_each(bundles.labels) label JOIN json_each(work.scores) score ON score.key = label.key
    )"""
_POSTGRESQL_SCORES = """(
        SELECT json_object_agg(label.value, score.value ORDER BY label.place)
        FROM json_array_elements_text(bundles.labels) WITH ORDINALITY AS label(value, place)
        JOIN json_array_elements(work.scores) WITH ORDINALITY AS score(value, place) ON score.place = label.place
    )"""
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
        {sha256},
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
        ) AS night{content}
    FROM instances
    JOIN work ON work.instance_id = instances.id AND work.ordinal = 0
    JOIN sources ON sources.id = instances.source_id
    LEFT JOIN bundles ON bundles.id = work.bundle_id
    LEFT JOIN senders ON senders.id = instances.sender_id
"""
