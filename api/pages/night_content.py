"""Gather what the night page and the report show."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from markupsafe import Markup

from api.pages.attention import Attention, attention, is_past, present_state
from api.pages.forecast import Forecast, forecast
from api.pages.hour_rows import HourRow, hour_rows
from api.pages.label_history import LabelHistory, label_rows
from api.pages.night_charts import backlog_chart, outcome_chart
from api.pages.period import Period, is_latest, night_of
from db import queries
from db.condition.remaining_work import RemainingWork, remaining_work
from db.drift.comparison import NightDrift, night_drift
from db.engine import Database
from db.ledger.alarms import Alarm
from db.queries import IncompleteStudy, PeriodCounts, SeriesOutcome, SeriesTally, Tally
from db.tables import State
from nightread.nights import Nights
from nightread.reasons import Reason
from nightread.settings import Settings

_EARLIER_NIGHTS = 7
_SUSPICIOUS = 12
_STUDIES = 20
_ALARMS = 20
_DAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReasonRow:
    """A reason why images have no result, and their number."""

    state: str
    reason: str
    images: int
    share: float
    """The images with this reason, as a share of all arrivals."""
    fault: str
    message: str

    @property
    def is_known(self) -> bool:
        """Return whether this release knows the reason, so that the list of images can filter by it."""
        return self.reason in _REASONS


@dataclass(frozen=True, kw_only=True, slots=True)
class NightContent:
    """The content of the page of one period."""

    period: Period
    at: datetime
    is_current: bool
    tally: Tally
    states: Sequence[tuple[str, int]]
    """The number of images in each state, as (state, images). The numbers add up to the number of arrivals."""
    forecast: Forecast
    attention: Sequence[Attention]
    alarms: Sequence[Alarm]
    """The alarms that opened in the period, and those that are open now if the period is the latest one."""
    alarms_left_out: int
    drift: Sequence[NightDrift]
    """The drift of the models that were compared with a reference in this night; empty for a day."""
    series: SeriesTally
    """The results of series; empty unless a bundle with unit `series` analysed an image of the period."""
    reasons: Sequence[ReasonRow]
    remarks: Mapping[str, int]
    labels: Sequence[LabelHistory]
    has_further_results: bool
    """Whether there are further results. They matter for links with a filter by model, because this filter matches them
    too. If only one model gave answers, no link needs this filter, and the value is False."""
    earlier_nights: int
    suspicious: Sequence[dict[str, Any]]
    tags: Mapping[int, Sequence[str]]
    """The tags that result rules gave to the studies of these images, by image id."""
    studies: Sequence[IncompleteStudy]
    """The incomplete studies; studies with the most missing images come first."""
    studies_left_out: int
    outcomes_over_time: Markup
    backlog: Markup
    hours: Sequence[HourRow]
    """The rows of the table below the charts."""

    @property
    def shares(self) -> list[tuple[str, float]]:
        """Return the share of each state in the arrivals."""
        return [(state, images / self.tally.arrived) for state, images in self.states]

    @property
    def series_words(self) -> Mapping[SeriesOutcome, str]:
        """Return what each outcome of a series means, in words."""
        return _SERIES_WORDS

    @property
    def final_states(self) -> list[str]:
        """Return the final states that occur."""
        return [state for state, images in self.states if images and state != "unfinished"]

    @property
    def models(self) -> int:
        """Return the number of models with results."""
        return len({row.model for row in self.labels})

    def label_query(self, row: LabelHistory) -> dict[str, str] | None:
        """Return the filter for the images with this label; None if there is no filter for exactly these images."""
        if row.label is None:
            return None
        query = {"state": "done", "label": row.label}
        if sum(other.label == row.label for other in self.labels if other.images) == 1:
            return query
        return None if self.has_further_results or not row.model else {**query, "model": row.model}


def night_content(
    database: Database, settings: Settings, nights: Nights, period: Period, *, now: datetime
) -> NightContent:
    """Read everything that the page of a period shows."""
    counts = queries.period_counts(database, since=period.since, until=period.until)
    tally = counts.tally
    ends = forecast(
        period,
        counts,
        retried=_retried(database, period, counts, now),
        remaining=_remaining(database, settings, now) if tally.unfinished else None,
        nights=nights,
        now=now,
    )
    incomplete = queries.incomplete_studies(database, since=period.since, until=period.until)
    earlier = queries.sample_labels(database, list(_earlier(nights, period))) if counts.labels else []
    concerns_now = is_latest(period, nights, now) or bool(tally.unfinished)
    found = attention(
        period,
        tally,
        [(reason, images) for (_, reason), images in counts.reasons.items()],
        forecast=ends,
        incomplete=incomplete,
        present=present_state(database, settings, nights, now) if concerns_now else None,
    )
    suspicious = _suspicious(database, period) if counts.labels else []
    alarms = _alarms(database, period, with_open=is_latest(period, nights, now))
    return NightContent(
        period=period,
        at=now,
        is_current=not is_past(period, now),
        tally=tally,
        states=_states(tally),
        forecast=ends,
        attention=list(found),
        alarms=alarms[:_ALARMS],
        alarms_left_out=max(0, len(alarms) - _ALARMS),
        drift=_drift(database, period),
        series=queries.series_tally(database, since=period.since, until=period.until),
        reasons=list(_reasons(counts)),
        remarks={},
        labels=label_rows(counts.labels, earlier),
        has_further_results=len({count.model for count in counts.labels}) > 1 and queries.has_further_results(database),
        earlier_nights=len(earlier),
        suspicious=suspicious,
        tags=queries.image_tags(database, suspicious),
        studies=incomplete[:_STUDIES],
        studies_left_out=max(0, len(incomplete) - _STUDIES),
        outcomes_over_time=outcome_chart(period, counts, ends, nights, now),
        backlog=backlog_chart(period, counts, ends, nights, now),
        hours=hour_rows(period, counts, nights, now),
    )


def _remaining(database: Database, settings: Settings, now: datetime) -> RemainingWork:
    """Read the remaining work of all periods, because their images wait in one queue."""
    return remaining_work(database, settings, unfinished=queries.unfinished(database), now=now)


def _retried(database: Database, period: Period, counts: PeriodCounts, now: datetime) -> queries.Retried | None:
    ended_later = counts.last_outcome is not None and counts.last_outcome > period.until
    if ended_later or (counts.tally.unfinished and now > period.until):
        return queries.retried_later(database, since=period.since, until=period.until)
    return None


def _states(tally: Tally) -> list[tuple[str, int]]:
    names = (State.DONE, State.DUPLICATE, State.REJECTED, State.FAILED, State.EXPANDED)
    return [*((name.value, getattr(tally, name)) for name in names), ("unfinished", tally.unfinished)]


def _earlier(nights: Nights, period: Period) -> Iterator[tuple[datetime, datetime]]:
    first: date = period.date if period.kind == "night" else nights.local(period.since).date()
    for number in range(1, _EARLIER_NIGHTS + 1):
        night = night_of(nights, first - number * _DAY)
        yield night.since, night.until


def _reasons(counts: PeriodCounts) -> Iterator[ReasonRow]:
    for (state, word), images in counts.reasons.items():
        reason = _REASONS.get(word)
        yield ReasonRow(
            state=state,
            reason=word,
            images=images,
            share=images / counts.tally.arrived,
            fault=reason.fault.value if reason else "unknown",
            message=reason.message if reason else "",
        )


def _alarms(database: Database, period: Period, *, with_open: bool) -> list[Alarm]:
    """Return the alarms of the period: open alarms first, and within each group the latest alarm first."""
    found = {alarm.id: alarm for alarm in queries.alarms(database, since=period.since, until=period.until)}
    if with_open:
        found |= {alarm.id: alarm for alarm in queries.alarms(database, is_open=True)}
    return sorted(found.values(), key=lambda alarm: (alarm.closed_at is not None, -alarm.id))


def _drift(database: Database, period: Period) -> list[NightDrift]:
    if period.kind != "night":
        return []
    return [drift for drift in night_drift(database, period.date) if drift.comparisons]


def _suspicious(database: Database, period: Period) -> list[dict[str, Any]]:
    return queries.most_suspicious(database, since=period.since, until=period.until, limit=_SUSPICIOUS)


_SERIES_WORDS: Mapping[SeriesOutcome, str] = {
    SeriesOutcome.FORMED: "with a result of all slices",
    SeriesOutcome.PARTIAL: "with a result; slices, or images of the study, are missing",
    SeriesOutcome.AMBIGUOUS: "the stacks of the series cannot be distinguished",
    SeriesOutcome.REJECTED: "the series breaks the rules of the model, or a slice has no result",
    SeriesOutcome.FAILED: "no result could be formed; the log of the worker names the error",
    SeriesOutcome.EMPTY: "no slice has a score, at least not yet",
    SeriesOutcome.WAITING: "waits for slices, or is being formed",
}
_REASONS = {reason.value: reason for reason in Reason}
