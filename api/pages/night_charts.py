"""Draw the two charts of the night page: outcomes over time, and the backlog against the deadline."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta

from markupsafe import Markup

from api.pages.charts import Axis, Columns, Curve, Marker, column_chart, curve_chart
from api.pages.forecast import Forecast
from api.pages.period import Period
from db.queries import PeriodCounts
from db.queries.night_arrivals import INTERVAL
from nightread.nights import Nights

_LONGEST = timedelta(hours=36)
"""Largest range of the time axis; later outcomes are not drawn."""


def outcome_chart(period: Period, counts: PeriodCounts, ends: Forecast, nights: Nights, now: datetime) -> Markup:
    """Draw the outcomes of each ten minutes as columns, and the arrivals as a line."""
    axis = _axis(period, counts, ends.last_outcome, None, nights)
    stacks: dict[datetime, Counter[str]] = defaultdict(Counter)
    for (begin, state), images in counts.finished_at.items():
        if begin < axis.end:
            stacks[begin][state] += images
    columns = Columns(width=INTERVAL, stacks=stacks, steps=counts.arrived_at)
    return column_chart(axis, columns, title="Arrivals and outcomes in ten minutes", markers=_markers(period, now))


def backlog_chart(period: Period, counts: PeriodCounts, ends: Forecast, nights: Nights, now: datetime) -> Markup:
    """Draw the total numbers of arrivals and outcomes over time, and the forecast until all images have an outcome."""
    axis = _axis(period, counts, ends.last_outcome, ends.done_by, nights)
    finished: Counter[datetime] = Counter()
    for (begin, _), images in counts.finished_at.items():
        finished[begin] += images
    last = min(now, axis.end)
    arrived = _summed(counts.arrived_at, axis, last)
    done = _summed(finished, axis, last)
    curves = [Curve(kind="finished", points=done, filled=True), Curve(kind="arrived", points=arrived)]
    if counts.tally.unfinished and ends.done_by and done and ends.done_by <= axis.end:
        points = [done[-1], (ends.done_by, float(counts.tally.arrived))]
        curves.append(Curve(kind="forecast", points=points))
    return curve_chart(axis, curves, title="Arrived and finished images in total", markers=_markers(period, now))


def _axis(
    period: Period, counts: PeriodCounts, last: datetime | None, done_by: datetime | None, nights: Nights
) -> Axis:
    """Return the axis. It ends at the latest of three times: deadline, last outcome without retries, expected end."""
    drawn = [begin + INTERVAL for begin, _ in counts.finished_at if last is not None and begin <= last]
    end = max([period.until, done_by or period.until, *drawn])
    return Axis(begin=period.since, end=min(end, period.since + _LONGEST), nights=nights)


def _markers(period: Period, now: datetime) -> list[Marker]:
    found = [Marker(at=now, text="now", kind="now")] if period.includes(now) else []
    if period.kind == "night":
        found.append(Marker(at=period.until, text="deadline", kind="deadline"))
    return found


def _summed(counts: Mapping[datetime, int], axis: Axis, last: datetime) -> list[tuple[datetime, float]]:
    """Return the running total at the end of each interval, from the start of the axis to `last`."""
    total, points = 0, [(axis.begin, 0.0)]
    for begin in sorted(begin for begin in counts if begin < axis.end):
        end = min(begin + INTERVAL, axis.end)
        if begin > points[-1][0]:
            points.append((begin, float(total)))
        total += counts[begin]
        points.append((max(end, points[-1][0]), float(total)))
    if last > points[-1][0]:
        points.append((last, float(total)))
    return points
