"""Find models whose inputs or scores differ from those of earlier nights."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from math import sqrt

from sqlalchemy import ColumnElement, bindparam, case, func, select

from db.engine import Database
from db.ledger.alarms import Finding
from db.tables import State, bundles, work
from imaging.remarks import Remark
from nightread.alarm_rules import AlarmRule
from nightread.nights import Nights
from nightread.reasons import Reason

REMEMBERED_NIGHTS = 14
_FEWEST_NIGHTS = 5
_FEWEST_IMAGES = 100
_ERRORS = 5
"""Number of standard errors by which a share may lie outside of its earlier range."""
_MARGIN = 0.05
_INPUTS = "inputs"


@dataclass(frozen=True, kw_only=True, slots=True)
class NightShares:
    """The number of images of one model in one night, and the share of each label by name.

    `shares` also has the mean score, and the share of images near the edge of the domain or outside of it.
    """

    images: int
    shares: Mapping[str, float]
    same_score: bool = False
    """True if all results have the same score."""


class ModelRanges:
    """Compares the present night of each model with its last nights; each earlier night is read once."""

    def __init__(self, nights: Nights) -> None:
        self._nights = nights
        self._known: dict[date, Mapping[str, NightShares]] = {}

    def findings(self, database: Database, now: datetime) -> Iterator[Finding]:
        """Yield a finding for each model if a share of its images or its mean score is outside of its range."""
        evening = self._nights.latest(now)
        self._learn(database, evening)
        for model, tonight in _read(database, self._nights, evening).items():
            if tonight.images < _FEWEST_IMAGES:
                continue
            earlier = [known[model] for known in self._known.values() if model in known]
            earlier = [night for night in earlier if night.images >= _FEWEST_IMAGES]
            if texts := list(_differences(tonight, earlier)):
                of = "the incoming images" if model == _INPUTS else f"the results of {model}"
                text = f"{of} differ from those of the last nights: {'; '.join(texts[:3])}"
                yield Finding(rule=AlarmRule.MODEL_RANGE, subject=model, text=text)

    def _learn(self, database: Database, evening: date) -> None:
        wanted = [evening - timedelta(days=days) for days in range(1, REMEMBERED_NIGHTS + 1)]
        self._known = {day: known for day, known in self._known.items() if day in wanted}
        for day in wanted:
            if day not in self._known:
                self._known[day] = _read(database, self._nights, day)


def _differences(tonight: NightShares, earlier: list[NightShares]) -> Iterator[str]:
    if tonight.same_score and not any(night.same_score for night in earlier):
        yield f"all {tonight.images:,} scores are equal"
    if len(earlier) < _FEWEST_NIGHTS:
        return
    for name in sorted({name for night in (tonight, *earlier) for name in night.shares}):
        seen = [night.shares.get(name, 0.0) for night in earlier]
        low, high, share = min(seen), max(seen), tonight.shares.get(name, 0.0)
        middle = min(max((low + high) / 2, 0.01), 0.99)
        slack = _MARGIN + (high - low) / 2 + _ERRORS * sqrt(middle * (1 - middle) / tonight.images)
        if not low - slack <= share <= high + slack:
            yield f"{name} {share:.2f}, before {low:.2f} to {high:.2f}"


def _read(database: Database, nights: Nights, evening: date) -> dict[str, NightShares]:
    since, _ = nights.bounds(evening)
    until, _ = nights.bounds(evening + timedelta(days=1))
    found: dict[str, NightShares] = {}
    with database.read() as connection:
        rows = connection.execute(_RESULTS, {"since": since, "until": until}).all()
        outside, total = connection.execute(_REJECTED, {"since": since, "until": until}).one()
    for model in sorted({f"{row.name}@{row.version}" for row in rows}):
        own = [row for row in rows if f"{row.name}@{row.version}" == model]
        images = sum(row.images for row in own)
        shares = {f"share of {row.label}": row.images / images for row in own if row.label is not None}
        shares["mean score"] = sum(row.score * row.images for row in own) / images
        shares["share of images near the edge of the domain"] = sum(row.edge for row in own) / images
        low, high = min(row.low for row in own), max(row.high for row in own)
        found[model] = NightShares(images=images, shares=shares, same_score=low == high)
    if total:
        share = (outside or 0) / total
        found[_INPUTS] = NightShares(images=total, shares={"share of images outside of the domain": share})
    return found


def _number_of(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.sum(case((condition, 1), else_=0))


_IN_TIME = (work.c.finished_at >= bindparam("since"), work.c.finished_at < bindparam("until"))
_RESULTS = (
    select(
        bundles.c.name,
        bundles.c.version,
        work.c.label,
        func.count().label("images"),
        func.avg(work.c.score).label("score"),
        func.min(work.c.score).label("low"),
        func.max(work.c.score).label("high"),
        _number_of(work.c.remarks.contains(Remark.NEAR_DOMAIN_EDGE.value)).label("edge"),
    )
    .join(bundles, bundles.c.id == work.c.bundle_id)
    .where(
        *_IN_TIME,
        work.c.state.concat("") == State.DONE.value,  # an expression, so that SQLite searches by the times instead
        work.c.score.is_not(None),
    )
    .group_by(bundles.c.name, bundles.c.version, work.c.label)
)
_REJECTED = select(_number_of(work.c.reason == Reason.OUT_OF_DOMAIN.value), func.count()).where(
    *_IN_TIME, work.c.ordinal == 0
)
