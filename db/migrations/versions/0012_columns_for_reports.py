"""Add columns for reports and a stored suspicion."""

import sqlalchemy as sa
from alembic import op

from db.types import Json

revision = "0012"
down_revision = "0011"

_FACTS = {
    "view_position": 16,
    "laterality": 1,
    "manufacturer": 64,
    "station_name": 16,
    "patient_sex": 1,
    "age_band": 8,
}


_INDEXES = {
    "ix_instances_view_position": ("instances", ("view_position", "id"), "view_position IS NOT NULL"),
    "ix_instances_manufacturer": ("instances", ("manufacturer", "id"), "manufacturer IS NOT NULL"),
    "ix_instances_station_name": ("instances", ("station_name", "id"), "station_name IS NOT NULL"),
    "ix_instances_unowned": ("instances", ("sha256",), "unowned"),
    "ix_work_label_score": ("work", ("label", "score", "instance_id"), "label IS NOT NULL AND score IS NOT NULL"),
    "ix_work_score": ("work", ("score", "instance_id"), "score IS NOT NULL"),
    "ix_work_suspicion": ("work", ("suspicion", "instance_id"), "suspicion IS NOT NULL"),
    "ix_work_bundle": ("work", ("bundle_id", "instance_id"), "bundle_id IS NOT NULL"),
}
_UNOWNED = """
    UPDATE instances SET unowned = (
        SELECT contents.work_id IS NULL OR work.instance_id IS NULL
        FROM (SELECT 1) one
        LEFT JOIN contents ON contents.sha256 = instances.sha256
        LEFT JOIN work ON work.id = contents.work_id AND work.instance_id = instances.id
    )
    WHERE sha256 IS NOT NULL
"""


def upgrade() -> None:
    for name, length in _FACTS.items():
        op.add_column("instances", sa.Column(name, sa.String(length=length), nullable=True))
    op.add_column("instances", sa.Column("unowned", sa.Boolean(), nullable=True))
    op.add_column("work", sa.Column("suspicion", sa.Float(), nullable=True))
    op.execute(_UNOWNED)
    _compute_suspicion()
    op.drop_index("ix_work_score", "work")
    for name, (table, columns, condition) in _INDEXES.items():
        where = sa.text(condition)
        op.create_index(name, table, list(columns), sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    for name, (table, _, _) in _INDEXES.items():
        op.drop_index(name, table)
    scored = sa.text("score IS NOT NULL")
    op.create_index("ix_work_score", "work", ["score"], sqlite_where=scored, postgresql_where=scored)
    op.drop_column("work", "suspicion")
    for name in ("unowned", *_FACTS):
        op.drop_column("instances", name)


def _compute_suspicion() -> None:
    """Compute it for each bundle with a normal label, as db.ledger.bundles does for new results."""
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
