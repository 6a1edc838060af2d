"""Apply the rules on results to the results that are new since the previous round."""

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from db.engine import Database
from db.ledger.result_actions import RuleMatch, apply_rule, note_examined, results_since, rule_matches
from db.ledger.rule_priorities import keep_priorities
from nightread.settings import Settings

log = logging.getLogger(__name__)


def apply_result_rules(settings: Settings, database: Database, now: datetime) -> int:
    """Apply all rules of the settings to the results since the previous call. Return the number of actions.

    If a rule gave a study a priority in an earlier call, waiting images of this study get the same priority.
    """
    if not settings.result_rules:
        return 0
    since, made = results_since(database, now), 0
    for rule in settings.result_rules:
        for match in rule_matches(database, rule, since=since, until=now):
            kinds = apply_rule(database, rule, match, body=result_body(settings, match, now), now=now)
            made += len(kinds)
            if kinds:
                log.info("rule %s: %s", match.rule, ", ".join(kinds), extra={"image": match.image_id})
    keep_priorities(database, now)
    note_examined(database, now)
    return made


def result_body(settings: Settings, match: RuleMatch, now: datetime) -> Mapping[str, Any]:
    """Return the body of a notice. It names the image only by its id, which people with permission can look up."""
    return {
        "version": 1,
        "event": "result",
        "rule": match.rule,
        "image": match.image_id,
        "at": now.isoformat(timespec="seconds"),
        "not_for_diagnosis": settings.not_for_diagnosis,
    }
