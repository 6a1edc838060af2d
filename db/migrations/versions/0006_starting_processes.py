"""Add the number of starting processes of a worker: a batch that a starting process received is not lost."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("workers", sa.Column("starting", sa.Integer(), server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("workers", "starting")
