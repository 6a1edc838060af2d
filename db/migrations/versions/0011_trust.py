"""Add trust groups, the senders of received images, further origins of the same bytes, and conflicts."""

import sqlalchemy as sa
from alembic import op

from db.types import Id

revision = "0011"
down_revision = "0010"

_COPIES = """
    CREATE TABLE copies (
        original_id {id} NOT NULL,
        source_id {id} NOT NULL,
        sender_id {id} NOT NULL,
        first_id {id} NOT NULL,
        CONSTRAINT pk_copies PRIMARY KEY (original_id, source_id, sender_id)
    ) {option}"""
# Duplicates that are members of archives are left out: their origin is that of the archive.
_KNOWN_COPIES = """
    INSERT INTO copies (original_id, source_id, sender_id, first_id)
    SELECT work.duplicate_of, instances.source_id, 0, min(instances.id)
    FROM work
    JOIN instances ON instances.id = work.instance_id
    JOIN instances original ON original.id = work.duplicate_of
    WHERE work.ordinal = 0 AND work.state = 'duplicate'
        AND instances.parent_id IS NULL AND instances.source_id != original.source_id
    GROUP BY work.duplicate_of, instances.source_id
"""


def upgrade() -> None:
    op.add_column("sources", sa.Column("trust", sa.String(length=200), nullable=True))
    op.create_table(
        "senders",
        sa.Column("id", Id, nullable=False),
        sa.Column("source_id", Id, nullable=False),
        sa.Column("calling_ae", sa.String(length=16), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("trust", sa.String(length=200), nullable=True),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_senders_source_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_senders")),
        sa.UniqueConstraint("source_id", "calling_ae", "address", name=op.f("uq_senders_source_id_calling_ae_address")),
    )
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    op.execute(_COPIES.format(id="INTEGER" if is_sqlite else "BIGINT", option="WITHOUT ROWID" if is_sqlite else ""))
    op.execute(_KNOWN_COPIES)
    op.add_column("instances", sa.Column("sender_id", Id, nullable=True))
    op.add_column("instances", sa.Column("conflict_with", Id, nullable=True))
    in_conflict = sa.text("conflict_with IS NOT NULL")
    op.create_index(
        "ix_instances_conflict_with",
        "instances",
        ["conflict_with"],
        sqlite_where=in_conflict,
        postgresql_where=in_conflict,
    )


def downgrade() -> None:
    op.drop_index("ix_instances_conflict_with", "instances")
    op.drop_column("instances", "conflict_with")
    op.drop_column("instances", "sender_id")
    op.drop_table("copies")
    op.drop_table("senders")
    op.drop_column("sources", "trust")
