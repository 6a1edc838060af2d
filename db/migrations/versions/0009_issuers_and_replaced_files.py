"""Add known issuers, replaced files, names of archive members, and the model that a worker follows."""

import sqlalchemy as sa
from alembic import op

from db.types import Id, UtcDateTime

revision = "0009"
down_revision = "0008"

_REPLACED = """
    UPDATE instances SET replaced_by = (
        SELECT min(newer.id) FROM instances newer
        WHERE newer.source_id = instances.source_id AND newer.uri_key = instances.uri_key AND newer.id > instances.id
    )
    WHERE EXISTS (
        SELECT 1 FROM instances newer
        WHERE newer.source_id = instances.source_id AND newer.uri_key = instances.uri_key AND newer.id > instances.id
    )
"""
_STILL_THERE = """
    UPDATE instances SET replaced_by = NULL
    WHERE replaced_by IS NOT NULL AND sha256 = (
        SELECT newest.sha256 FROM instances newest
        WHERE newest.source_id = instances.source_id AND newest.uri_key = instances.uri_key
        ORDER BY newest.id DESC LIMIT 1
    )
"""


def upgrade() -> None:
    op.create_table(
        "issuers",
        sa.Column("kind", sa.String(length=9), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("first_seen_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "name", name=op.f("pk_issuers")),
    )
    op.add_column("workers", sa.Column("model", sa.String(length=151), nullable=True))
    op.add_column("instances", sa.Column("member_name", sa.Text(), nullable=True))
    op.add_column("instances", sa.Column("replaced_by", Id, nullable=True))
    op.execute(_REPLACED)
    op.execute(_STILL_THERE)
    _create_index("instances", "replaced_by")
    _create_index("work", "not_before")


def downgrade() -> None:
    op.drop_index("ix_work_not_before", "work")
    op.drop_index("ix_instances_replaced_by", "instances")
    op.drop_column("instances", "replaced_by")
    op.drop_column("instances", "member_name")
    op.drop_column("workers", "model")
    op.drop_table("issuers")


def _create_index(table: str, column: str) -> None:
    has_value = sa.text(f"{column} IS NOT NULL")
    op.create_index(f"ix_{table}_{column}", table, [column], sqlite_where=has_value, postgresql_where=has_value)
