"""Find sources whose images are defective or fail more often than a limit."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import bindparam, func, select

from db.engine import Database
from db.ledger.alarms import Finding
from db.tables import State, instances, sources, work
from nightread.alarm_rules import AlarmRule
from nightread.reasons import Fault, Reason
from nightread.settings import Settings

WINDOW = timedelta(hours=1)
_BAD = frozenset(reason.value for reason in Reason if reason.fault is not Fault.OUT_OF_SCOPE)


def bad_outcomes(database: Database, settings: Settings, now: datetime) -> Iterator[Finding]:
    """Yield a finding for each source with too many defective or failed outcomes in the last hour."""
    total, bad = Counter[str](), Counter[str]()
    worst: dict[str, Counter[str]] = {}
    with database.read() as connection:
        for row in connection.execute(_COUNTS, {"since": now - WINDOW, "until": now}):
            total[row.name] += row.images
            if row.state in _BAD_STATES and (row.reason is None or row.reason in _BAD):
                bad[row.name] += row.images
                worst.setdefault(row.name, Counter())[row.reason or row.state] += row.images
    for source in sorted(bad):
        if total[source] >= settings.alarm_bad_images and bad[source] >= settings.alarm_bad_share * total[source]:
            (reason, _), *_ = worst[source].most_common(1)
            text = (
                f"in the last hour, {bad[source]:,} of {total[source]:,} outcomes of the source {source} were "
                f"defective or failed; the most frequent reason is {reason}"
            )
            yield Finding(rule=AlarmRule.BAD_OUTCOMES, subject=source, text=text)


_BAD_STATES = frozenset({State.REJECTED.value, State.FAILED.value})
_COUNTS = (
    select(sources.c.name, work.c.state, work.c.reason, func.count().label("images"))
    .join(instances, instances.c.id == work.c.instance_id)
    .join(sources, sources.c.id == instances.c.source_id)
    .where(
        work.c.ordinal == 0,
        work.c.finished_at > bindparam("since"),
        work.c.finished_at <= bindparam("until"),
    )
    .group_by(sources.c.name, work.c.state, work.c.reason)
)
