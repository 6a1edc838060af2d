"""Add remarks: words that a person should know beside a result, such as voi_not_used."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("work", sa.Column("remarks", sa.String(length=200), nullable=True))
    with_remark = sa.text("remarks IS NOT NULL")
    op.create_index(
        "ix_work_remarks",
        "work",
        ["remarks", "instance_id"],
        sqlite_where=with_remark,
        postgresql_where=with_remark,
    )


def downgrade() -> None:
    op.drop_index("ix_work_remarks", "work")
    op.drop_column("work", "remarks")
