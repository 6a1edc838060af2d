"""Make study and series the key of series, keep why a series could not be formed, and add the view of series."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    op.add_column("series", sa.Column("detail", sa.String(500), nullable=True))
    op.drop_index("ix_series_study_instance_uid", "series")  # the new key begins with the study
    _change_key(
        before="uq_series_series_instance_uid",
        after="uq_series_study_instance_uid_series_instance_uid",
        columns=["study_instance_uid", "series_instance_uid"],
    )
    op.create_index("ix_series_series_instance_uid", "series", ["series_instance_uid"])
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    of_dialect = _SQLITE if is_sqlite else _POSTGRESQL
    op.execute(f"CREATE VIEW v_series AS {_SERIES.format(**of_dialect)}")


def downgrade() -> None:
    op.execute("DROP VIEW v_series")
    first = "(SELECT min(id) FROM series GROUP BY series_instance_uid)"  # the key of before holds one per UID
    op.execute(f"DELETE FROM series_results WHERE series_id NOT IN {first}")  # noqa: S608 - a constant
    op.execute(f"DELETE FROM series WHERE id NOT IN {first}")  # noqa: S608 - a constant
    op.drop_index("ix_series_series_instance_uid", "series")
    _change_key(
        before="uq_series_study_instance_uid_series_instance_uid",
        after="uq_series_series_instance_uid",
        columns=["series_instance_uid"],
    )
    op.create_index("ix_series_study_instance_uid", "series", ["study_instance_uid"])
    op.drop_column("series", "detail")


def _change_key(*, before: str, after: str, columns: list[str]) -> None:
    """Replace the unique constraint of `series`.

    SQLite writes the table anew. During this no result may refer to the table, so the results are moved to a temporary
    table. The indexes are created here, because Alembic creates them in no fixed order.
    """
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    indexes = op.get_bind().execute(sa.text(_INDEXES)).all() if is_sqlite else []
    for name, _ in indexes:
        op.drop_index(name, "series")
    if is_sqlite:
        op.execute("CREATE TEMPORARY TABLE kept_results AS SELECT * FROM series_results")
        op.execute("DELETE FROM series_results")
    with op.batch_alter_table("series") as series:
        series.drop_constraint(before, type_="unique")
        series.create_unique_constraint(after, columns)
    if is_sqlite:
        op.execute("INSERT INTO series_results SELECT * FROM kept_results")
        op.execute("DROP TABLE kept_results")
    for _, statement in indexes:
        op.execute(statement)


_INDEXES = """
    SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'series' AND sql IS NOT NULL ORDER BY name
"""
_SQLITE = {
    "scores": """(
        SELECT json_group_object(label.value, score.value)
        FROM json_each(bundles.labels) label JOIN json_each(series_results.scores) score ON score.key = label.key
    )""",
    "evidence": """(
        SELECT json_group_array(json_object(
            'place', place.value,
            'image_id', json_extract(series_results.places, '$[' || (place.value - 1) || '][0]'),
            'frame', json_extract(series_results.places, '$[' || (place.value - 1) || '][1]'),
            'score', json_extract(series_results.places, '$[' || (place.value - 1) || '][2]')
        )) FROM json_each(coalesce(series_results.evidence, '[]')) place
    )""",
}
_POSTGRESQL = {
    "scores": """(
        SELECT json_object_agg(label.value, score.value ORDER BY label.place)
        FROM json_array_elements_text(bundles.labels) WITH ORDINALITY AS label(value, place)
        JOIN json_array_elements(series_results.scores) WITH ORDINALITY AS score(value, place)
            ON score.place = label.place
    )""",
    "evidence": """(
        SELECT coalesce(json_agg(json_build_object(
            'place', place.value::integer,
            'image_id', series_results.places -> (place.value::integer - 1) -> 0,
            'frame', series_results.places -> (place.value::integer - 1) -> 1,
            'score', series_results.places -> (place.value::integer - 1) -> 2
        ) ORDER BY place.number), '[]'::json)
        FROM json_array_elements_text(coalesce(series_results.evidence, '[]'::json)) WITH ORDINALITY
            AS place(value, number)
    )""",
}
_SERIES = """
    SELECT
        series.series_instance_uid,
        series.study_instance_uid,
        series.state AS series_state,
        series_results.stack,
        series_results.stack_name,
        series_results.state,
        coalesce(series_results.reason, series.reason) AS reason,
        coalesce(series_results.detail, series.detail) AS detail,
        bundles.name AS model,
        bundles.version AS model_version,
        series_results.label,
        series_results.score,
        series_results.suspicion,
        CASE WHEN series_results.scores IS NOT NULL THEN {scores} END AS scores,
        series_results.slices,
        series_results.of_slices,
        series_results.partial,
        series_results.remarks,
        {evidence} AS evidence,
        coalesce(series_results.shadow, false) AS shadow,
        series_results.revision,
        series.changed_at,
        series_results.formed_at
    FROM series
    LEFT JOIN series_results ON series_results.series_id = series.id
    LEFT JOIN bundles ON bundles.id = series_results.bundle_id
"""
