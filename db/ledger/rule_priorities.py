"""Give the waiting images of a study the priority that a rule on results has set for the study."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, select, update

from db.alarm_tables import rule_actions
from db.bulk import is_any_of
from db.engine import Database
from db.ledger.outbox import URGENT
from db.tables import State, in_state, instances, work

KEPT = timedelta(days=1)
"""For this long after the action of a rule, waiting images of the study get the priority that the rule has set."""
_CHUNK = 1000


def keep_priorities(database: Database, now: datetime) -> int:
    """Give waiting images the priority that rules have set for their study; return the number of changed images.

    Only images that were read before, for example retried images, have a known study. If several rules set a priority,
    the most urgent counts. Images with the priority URGENT and re-runs keep their priorities.
    """
    with database.read() as connection:
        waiting = connection.execute(_WAITING, {"since": now - KEPT}).all()
    wanted: dict[int, int] = {}
    for row in waiting:
        wanted[row.id] = min(int(row.target), wanted.get(row.id, int(row.target)))
    present = {row.id: row.priority for row in waiting}
    changes = {work_id: priority for work_id, priority in wanted.items() if present[work_id] not in (priority, URGENT)}
    if changes:
        database.write(lambda connection: _change(connection, changes))
    return len(changes)


def _change(connection: Connection, changes: Mapping[int, int]) -> None:
    by_priority: dict[int, list[int]] = defaultdict(list)
    for work_id, priority in changes.items():
        by_priority[priority].append(work_id)
    for priority, ids in by_priority.items():
        for start in range(0, len(ids), _CHUNK):
            connection.execute(_CHANGE, {"of_study": ids[start : start + _CHUNK], "its_priority": priority})


_WAITING = (
    select(work.c.id, work.c.priority, rule_actions.c.target)
    .select_from(rule_actions)
    .join(instances, instances.c.study_instance_uid == rule_actions.c.subject)
    .join(work, work.c.instance_id == instances.c.id)
    .where(
        rule_actions.c.kind == "priority",
        rule_actions.c.at >= bindparam("since"),
        in_state(State.RECEIVED),
        work.c.ordinal == 0,
    )
)
_CHANGE = (
    update(work)
    .where(is_any_of(work.c.id, "of_study"), in_state(State.RECEIVED))
    .values(priority=bindparam("its_priority"))
)
