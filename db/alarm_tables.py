"""Define the tables of the watchdog: alarms, notices to channels, and actions that rules on results took."""

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table, UniqueConstraint

from db.tables import metadata, when
from db.types import Id, Json, UtcDateTime
from imaging.facts import UID_LENGTH

SUBJECT_LENGTH = 250
TEXT_LENGTH = 500

alarms = Table(
    "alarms",  # one row per alarm; of each rule and subject, at most one row is not closed
    metadata,
    Column("id", Id, primary_key=True),
    Column("rule", String(24), nullable=False),  # nightread.alarm_rules.AlarmRule
    Column("subject", String(SUBJECT_LENGTH), nullable=False),  # part, source, sender or model concerned; or empty
    Column("night", String(10), nullable=False),  # evening (local date) of the night in which it was first seen
    Column("text", String(TEXT_LENGTH), nullable=False),  # sentence of the latest check that found it
    Column("first_seen_at", UtcDateTime, nullable=False),
    Column("last_seen_at", UtcDateTime, nullable=False),
    Column("opened_at", UtcDateTime),  # null: the condition has not lasted long enough; no notice was sent
    Column("notified_at", UtcDateTime),  # when its latest notice was written
    Column("acknowledged_at", UtcDateTime),
    Column("acknowledged_by", String(100)),
    Column("silenced_until", UtcDateTime),
    Column("silenced_by", String(100)),
    Column("closed_at", UtcDateTime),
    Index("ix_alarms_open", "rule", "subject", unique=True, **when("closed_at IS NULL")),
    Index("ix_alarms_opened_at", "opened_at", **when("opened_at IS NOT NULL")),
)

notices = Table(
    "notices",  # one message for one channel; sent messages stay for a time, so that a person can look them up
    metadata,
    Column("id", Id, primary_key=True),
    Column("alarm_id", Id, ForeignKey("alarms.id")),  # null: a rule on results wrote this notice
    Column("channel", String(64), nullable=False),
    Column("body", Json, nullable=False),  # the message (docs/alarms.md), which identifies no patient
    Column("created_at", UtcDateTime, nullable=False),
    Column("not_before", UtcDateTime),  # time of the next attempt; null: the notice was sent or given up
    Column("attempts", Integer, nullable=False),
    Column("sent_at", UtcDateTime),
    Column("detail", String(100)),  # why the latest attempt failed
    Index("ix_notices_waiting", "not_before", **when("not_before IS NOT NULL")),
    Index("ix_notices_alarm_id", "alarm_id", **when("alarm_id IS NOT NULL")),
)

rule_actions = Table(
    "rule_actions",  # actions that rules on results took; each is taken once per study
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
    "watchdog_marks",  # times up to which the watchdog has read new results
    metadata,
    Column("name", String(32), primary_key=True),
    Column("at", UtcDateTime, nullable=False),
)
