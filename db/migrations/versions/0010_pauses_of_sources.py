"""Let a pause hold the images of one source."""

import sqlalchemy as sa
from alembic import op

from db.types import Id

revision = "0010"
down_revision = "0009"

_IN_FORCE = sa.text("ended_at IS NULL")
_OF_ALL = sa.text("ended_at IS NULL AND source_id IS NULL")
_OF_SOURCE = sa.text("ended_at IS NULL AND source_id IS NOT NULL")


def upgrade() -> None:
    with op.batch_alter_table("pauses") as pauses:
        pauses.add_column(sa.Column("source_id", Id, nullable=True))
        pauses.create_foreign_key(op.f("fk_pauses_source_id_sources"), "sources", ["source_id"], ["id"])
    op.drop_index("ix_pauses_in_force", "pauses")
    _create_index("ix_pauses_in_force", ["cause"], _OF_ALL)
    _create_index("ix_pauses_source", ["cause", "source_id"], _OF_SOURCE)


def downgrade() -> None:
    op.drop_index("ix_pauses_source", "pauses")
    op.drop_index("ix_pauses_in_force", "pauses")
    op.execute("DELETE FROM pauses WHERE source_id IS NOT NULL")
    with op.batch_alter_table("pauses") as pauses:
        pauses.drop_constraint(op.f("fk_pauses_source_id_sources"), type_="foreignkey")
        pauses.drop_column("source_id")
    _create_index("ix_pauses_in_force", ["cause"], _IN_FORCE)


def _create_index(name: str, columns: list[str], condition: sa.TextClause) -> None:
    op.create_index(name, "pauses", columns, unique=True, sqlite_where=condition, postgresql_where=condition)
