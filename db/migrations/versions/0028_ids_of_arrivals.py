"""On PostgreSQL, put the ids into the index of arrival times, so that the ids of a night are found without its rows.

No image can be registered while the index is built, which takes seconds for a million images.
"""

from alembic import op

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    _build_index(["id"])


def downgrade() -> None:
    _build_index([])


def _build_index(included: list[str]) -> None:
    if op.get_bind().dialect.name == "sqlite":  # there, each index contains the ids of its rows
        return
    op.drop_index("ix_instances_arrived_at", "instances")
    op.create_index("ix_instances_arrived_at", "instances", ["arrived_at"], postgresql_include=included)
