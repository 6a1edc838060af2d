"""Find models whose images or results have drifted away from their reference (docs/drift.md)."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta

from db.drift.comparison import NightDrift, night_drift, refresh_night
from db.engine import Database
from db.ledger.alarms import Finding
from nightread.alarm_rules import AlarmRule
from nightread.nights import Nights

_NAMED = 3
_DAY = timedelta(days=1)


class DriftAlarms:
    """Finds models that have drifted.

    It counts the results of a night when the night has ended. It counts them again at the start of the next night if
    results were added meanwhile.
    """

    def __init__(self, nights: Nights) -> None:
        self._nights = nights
        self._counted: tuple[date, bool] | None = None

    def findings(self, database: Database, now: datetime) -> Iterator[Finding]:
        """Yield a finding for each model that drifted in the last night that has ended."""
        evening = last_ended(self._nights, now)
        stage = evening, now >= self._nights.bounds(evening + _DAY)[0]
        if stage != self._counted:
            refresh_night(database, self._nights, evening)
            self._counted = stage
        for drift in night_drift(database, evening):
            if drift.alarming:
                yield Finding(rule=AlarmRule.DRIFT, subject=drift.model, text=_text(drift))


def last_ended(nights: Nights, now: datetime) -> date:
    """Return the evening of the last night that has ended."""
    evening = nights.latest(now)
    return evening if now >= nights.bounds(evening)[1] else evening - _DAY


def _text(drift: NightDrift) -> str:
    """Describe the largest difference of each measure.

    Devices are not named, because their names come from headers.
    """
    largest = {each.measure: each for each in reversed(drift.alarming)}
    named = sorted(largest.values(), key=lambda each: each.distance, reverse=True)[:_NAMED]
    found = "; ".join(f"{each.measure} (distance {each.distance:.2f}, limit {each.limit:.2f})" for each in named)
    return (
        f"images or results of {drift.model} differ from its reference in the night of {drift.evening}: {found}; "
        f"see `nightread drift --night {drift.evening}`"
    )
