"""Add alarms, notices to channels, and the actions of rules on results."""

import sqlalchemy as sa
from alembic import op

from db.types import Id, Json, UtcDateTime

revision = "0019"
down_revision = "0017"


def upgrade() -> None:
    op.create_table(
        "alarms",
        sa.Column("id", Id, nullable=False),
        sa.Column("rule", sa.String(length=24), nullable=False),
        sa.Column("subject", sa.String(length=250), nullable=False),
        sa.Column("night", sa.String(length=10), nullable=False),
        sa.Column("text", sa.String(length=500), nullable=False),
        sa.Column("first_seen_at", UtcDateTime(), nullable=False),
        sa.Column("last_seen_at", UtcDateTime(), nullable=False),
        sa.Column("opened_at", UtcDateTime(), nullable=True),
        sa.Column("notified_at", UtcDateTime(), nullable=True),
        sa.Column("acknowledged_at", UtcDateTime(), nullable=True),
        sa.Column("acknowledged_by", sa.String(length=100), nullable=True),
        sa.Column("silenced_until", UtcDateTime(), nullable=True),
        sa.Column("silenced_by", sa.String(length=100), nullable=True),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alarms")),
    )
    _partial_index("ix_alarms_open", "alarms", ["rule", "subject"], "closed_at IS NULL", unique=True)
    _partial_index("ix_alarms_opened_at", "alarms", ["opened_at"], "opened_at IS NOT NULL")
    op.create_table(
        "notices",
        sa.Column("id", Id, nullable=False),
        sa.Column("alarm_id", Id, nullable=True),
        sa.Column("channel", sa.String(length=64), nullable=False),
        sa.Column("body", Json, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("not_before", UtcDateTime(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("sent_at", UtcDateTime(), nullable=True),
        sa.Column("detail", sa.String(length=100), nullable=True),
        sa.ForeignKeyConstraint(["alarm_id"], ["alarms.id"], name=op.f("fk_notices_alarm_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notices")),
    )
    _partial_index("ix_notices_waiting", "notices", ["not_before"], "not_before IS NOT NULL")
    _partial_index("ix_notices_alarm_id", "notices", ["alarm_id"], "alarm_id IS NOT NULL")
    op.create_table(
        "rule_actions",
        sa.Column("id", Id, nullable=False),
        sa.Column("rule", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("target", sa.String(length=200), nullable=False),
        sa.Column("subject", sa.String(length=72), nullable=False),
        sa.Column("instance_id", Id, nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rule_actions")),
        sa.UniqueConstraint("rule", "kind", "target", "subject", name=op.f("uq_rule_actions_rule_kind_target_subject")),
    )
    op.create_index("ix_rule_actions_subject", "rule_actions", ["subject", "kind"])
    op.create_table(
        "watchdog_marks",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_watchdog_marks")),
    )


def downgrade() -> None:
    for table in ("watchdog_marks", "rule_actions", "notices", "alarms"):
        op.drop_table(table)


def _partial_index(name: str, table: str, columns: list[str], condition: str, *, unique: bool = False) -> None:
    where = sa.text(condition)
    op.create_index(name, table, columns, unique=unique, sqlite_where=where, postgresql_where=where)
