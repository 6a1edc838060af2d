"""Add the column `bundles.codes`: the codes of the labels of a bundle in standard terminologies."""

import sqlalchemy as sa
from alembic import op

from db.types import Json

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("bundles", sa.Column("codes", Json, nullable=True))


def downgrade() -> None:
    op.drop_column("bundles", "codes")
