"""Define the tables of the watchdog: alarms, notices to channels, and actions of rules on results."""

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table, UniqueConstraint

from db.tables import metadata, when
from db.types import Id, Json, UtcDateTime
from imaging.facts import UID_LENGTH

SUBJECT_LENGTH = 250
TEXT_LENGTH = 500

alarms = Table(
    "alarms",  # one row per rule and subject from its first sight until it is closed
    metadata,
    Column("id", Id, primary_key=True),
    Column("rule", String(24), nullable=False),  # nightread.alarm_rules.AlarmRule
    Column("subject", String(SUBJECT_LENGTH), nullable=False),  # the part, source, sender or model; empty: the whole
    Column("night", String(10), nullable=False),  # local date of the evening of the night in which it was first seen
    Column("text", String(TEXT_LENGTH), nullable=False),  # the sentence of the latest sight
    Column("first_seen_at", UtcDateTime, nullable=False),
    Column("last_seen_at", UtcDateTime, nullable=False),
    Column("opened_at", UtcDateTime),  # null: the condition has not lasted long enough; nobody was told
    Column("notified_at", UtcDateTime),  # when the channels last got it
    Column("acknowledged_at", UtcDateTime),
    Column("acknowledged_by", String(100)),
    Column("silenced_until", UtcDateTime),
    Column("silenced_by", String(100)),
    Column("closed_at", UtcDateTime),
    Index("ix_alarms_open", "rule", "subject", unique=True, **when("closed_at IS NULL")),
    Index("ix_alarms_opened_at", "opened_at", **when("opened_at IS NOT NULL")),
)

notices = Table(
    "notices",  # one message for one channel; a row stays until it is old, so that a person sees what was sent
    metadata,
    Column("id", Id, primary_key=True),
    Column("alarm_id", Id, ForeignKey("alarms.id")),  # null: the notice of a rule on results
    Column("channel", String(64), nullable=False),
    Column("body", Json, nullable=False),  # what is sent (docs/alarms.md): nothing of a patient
    Column("created_at", UtcDateTime, nullable=False),
    Column("not_before", UtcDateTime),  # time of the next attempt; null: sent or given up
    Column("attempts", Integer, nullable=False),
    Column("sent_at", UtcDateTime),
    Column("detail", String(100)),  # why the latest attempt failed
    Index("ix_notices_waiting", "not_before", **when("not_before IS NOT NULL")),
    Index("ix_notices_alarm_id", "alarm_id", **when("alarm_id IS NOT NULL")),
)

rule_actions = Table(
    "rule_actions",  # the actions of rules on results, once per study
    metadata,
    Column("id", Id, primary_key=True),
    Column("rule", String(64), nullable=False),
    Column("kind", String(12), nullable=False),  # priority, tag, webhook or destination
    Column("target", String(200), nullable=False),  # the priority, the tag, the channel or the destination
    Column("subject", String(UID_LENGTH + 8), nullable=False),  # Study Instance UID; `image N` if there is none
    Column("instance_id", Id, nullable=False),  # instances.id of the first image whose result matched
    Column("at", UtcDateTime, nullable=False),
    UniqueConstraint("rule", "kind", "target", "subject"),
    Index("ix_rule_actions_subject", "subject", "kind"),
)

watchdog_marks = Table(
    "watchdog_marks",  # how far the watchdog has read
    metadata,
    Column("name", String(32), primary_key=True),
    Column("at", UtcDateTime, nullable=False),
)
