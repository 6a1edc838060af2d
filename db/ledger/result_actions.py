"""Find the studies whose results match a rule, and store the actions of the rule once per study."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, String, cast, func, insert, select, update

from db.alarm_tables import rule_actions, watchdog_marks
from db.engine import Database
from db.ledger.alarms import write_notices
from db.ledger.upsert import insert_if_absent
from db.tables import State, audit, bundles, instances, sources, work
from nightread.result_rules import ResultRule

ACTOR = "nightread"
_MARK = "result_rules"
_OVERLAP = timedelta(minutes=5)
"""Results that are up to this much older than the latest examined time are examined again, because the clock of a
worker's host may be behind."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleMatch:
    """One study with a result that matches a rule, or one image without a study."""

    rule: str
    subject: str
    """Study Instance UID; `image N` if there is none."""
    study_instance_uid: str | None
    image_id: int
    """The first image whose result matches."""


def rule_matches(database: Database, rule: ResultRule, *, since: datetime, until: datetime) -> list[RuleMatch]:
    """Return the studies with results of this time range that match the rule.

    Results of trial models (shadow), of superseded and of withdrawn images do not count.
    """
    statement = (
        select(instances.c.study_instance_uid, func.min(instances.c.id).label("image"))
        .select_from(work)
        .join(instances, instances.c.id == work.c.instance_id)
        .join(sources, sources.c.id == instances.c.source_id)
        .outerjoin(bundles, bundles.c.id == work.c.bundle_id)
        .where(
            work.c.state == State.DONE.value,
            work.c.shadow.is_(False),
            work.c.finished_at > since,
            work.c.finished_at <= until,
            instances.c.superseded_by.is_(None),
            instances.c.withdrawn_by.is_(None),
            *_conditions(rule),
        )
        .group_by(
            func.coalesce(instances.c.study_instance_uid, cast(instances.c.id, String(64))),
            instances.c.study_instance_uid,
        )
    )
    with database.read() as connection:
        rows = connection.execute(statement.order_by(func.min(instances.c.id))).all()
    return [
        RuleMatch(
            rule=rule.name,
            subject=row.study_instance_uid or f"image {row.image}",
            study_instance_uid=row.study_instance_uid,
            image_id=row.image,
        )
        for row in rows
    ]


def apply_rule(
    database: Database, rule: ResultRule, match: RuleMatch, *, body: Mapping[str, Any], now: datetime
) -> list[str]:
    """Store the actions of the rule that are new for this study, and return their kinds.

    Each new action is written to the audit table. For a webhook, `body` becomes a notice to its channel. The sender of
    reports, the pages and db.ledger.rule_priorities read the other actions and perform them.
    """

    def transaction(connection: Connection) -> list[str]:
        made = []
        for kind, target in rule.actions.items():
            row = {
                "rule": rule.name,
                "kind": kind,
                "target": target,
                "subject": match.subject,
                "instance_id": match.image_id,
                "at": now,
            }
            if insert_if_absent(connection, rule_actions, tuple(row), [tuple(row.values())]):
                made.append(kind)
                if kind == "webhook":
                    write_notices(connection, [(target, body)], alarm_id=None, now=now)
                detail = {"rule": rule.name, "kind": kind, "target": target, "image": match.image_id}
                connection.execute(insert(audit).values(at=now, actor=ACTOR, action="result.rule", detail=detail))
        return made

    return database.write(transaction)


def is_wanted_by_rule(database: Database, study_instance_uid: str, destination: str) -> bool:
    """Return whether a rule has sent this study to this destination."""
    statement = select(rule_actions.c.id).where(
        rule_actions.c.subject == study_instance_uid,
        rule_actions.c.kind == "destination",
        rule_actions.c.target == destination,
    )
    with database.read() as connection:
        return connection.execute(statement.limit(1)).first() is not None


def studies_sent_by_rules(database: Database, *, since: datetime) -> list[str]:
    """List the studies that rules have sent to any destination at this time or later, the earliest first."""
    statement = (
        select(rule_actions.c.subject)
        .where(
            rule_actions.c.kind == "destination",
            rule_actions.c.at >= since,
            rule_actions.c.subject.not_like("image %"),  # an image without a study has no report
        )
        .group_by(rule_actions.c.subject)
        .order_by(func.min(rule_actions.c.at))
    )
    with database.read() as connection:
        return list(connection.execute(statement).scalars())


def results_since(database: Database, now: datetime) -> datetime:
    """Return the time after which results must be examined; `now` if no results were ever examined."""
    statement = select(watchdog_marks.c.at).where(watchdog_marks.c.name == _MARK)
    with database.read() as connection:
        at: datetime | None = connection.execute(statement).scalar()
    return min(at, now) - _OVERLAP if at is not None else now


def note_examined(database: Database, now: datetime) -> None:
    """Note that all results until `now` were examined."""

    def transaction(connection: Connection) -> None:
        insert_if_absent(connection, watchdog_marks, ("name", "at"), [(_MARK, now)])
        connection.execute(update(watchdog_marks).where(watchdog_marks.c.name == _MARK).values(at=now))

    database.write(transaction)


def _conditions(rule: ResultRule) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if rule.label is not None:
        found.append(work.c.label == rule.label)
    if rule.min_score is not None:
        found.append(work.c.score >= rule.min_score)
    if rule.max_score is not None:
        found.append(work.c.score <= rule.max_score)
    if rule.source is not None:
        found.append(sources.c.name == rule.source)
    if rule.model is not None:
        name, _, version = rule.model.partition("@")
        found.append(bundles.c.name == name)
        if version:
            found.append(bundles.c.version == version)
    return found
