"""Draw the charts of the pages as inline SVG: widths are percentages, so that text keeps its size on every screen.

Colours come from classes of the style sheet; there is no style attribute, because the pages forbid inline styles.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from markupsafe import Markup, escape

from api.pages.words import hour_begin
from nightread.nights import Nights

_PLOT_TOP, _PLOT_HEIGHT, _LABELS_HEIGHT = 18, 150, 22
_STEPS = (1, 2, 5)
_HOURS = (1, 2, 3, 4, 6, 12, 24)
_MOST_HOURS = 7
"""Largest number of hours with a label on the axis. More labels would overlap on a phone."""
_EDGE = 4.0
"""Distance from an end of the axis, in percent of the width, below which text is not centred: it would be cut off."""
_NEAR = 26.0
"""Distance of two markers, in percent of the width, below which their words would overlap on a phone."""
_WORD_HEIGHTS = (12, 27)
"""Two heights for the word of a marker: the usual one, and a lower one if the word would overlap another text."""
STACK = ("done", "expanded", "duplicate", "rejected", "failed")
"""Final states from the bottom of a column to its top."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Axis:
    """The time on the horizontal axis."""

    begin: datetime
    end: datetime
    nights: Nights

    def percent(self, moment: datetime) -> float:
        """Return the place of a time in percent of the width."""
        return 100 * ((moment - self.begin) / (self.end - self.begin))

    def hours(self) -> list[datetime]:
        """Return the full local hours that get a label, as many as fit."""
        span = (self.end - self.begin) / timedelta(hours=1)
        step = next((hours for hours in _HOURS if span / hours <= _MOST_HOURS), _HOURS[-1])
        first = hour_begin(self.begin, self.nights)
        candidates = (first + timedelta(hours=hour) for hour in range(int(span) + 2))
        return [hour for hour in candidates if self._is_labelled(hour, step) and self.begin <= hour <= self.end]

    def _is_labelled(self, hour: datetime, step: int) -> bool:
        """Return whether an hour gets a label. Of two equal local hours (the clock goes back), only the first does."""
        before, local = self.nights.local(hour - timedelta(hours=1)), self.nights.local(hour)
        return local.hour % step == 0 and local.hour != before.hour


@dataclass(frozen=True, kw_only=True, slots=True)
class Marker:
    """A vertical line with a word, such as the deadline."""

    at: datetime
    text: str
    kind: str
    """CSS class."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """A curve over time, from the points (time, value)."""

    kind: str
    points: Sequence[tuple[datetime, float]]
    filled: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Columns:
    """Stacked columns of one width, and a step line over them."""

    width: timedelta
    stacks: Mapping[datetime, Mapping[str, int]]
    steps: Mapping[datetime, int] = field(default_factory=dict)


def column_chart(axis: Axis, columns: Columns, *, title: str, markers: Iterable[Marker] = ()) -> Markup:
    """Draw the stacked columns, and the step line over them."""
    highest = max((*(sum(stack.values()) for stack in columns.stacks.values()), *columns.steps.values(), 0))
    scale = _Scale(highest)
    width = 1000 * (columns.width / (axis.end - axis.begin))
    parts = [
        rectangle
        for begin, stack in columns.stacks.items()
        for rectangle in _stacked(10 * axis.percent(begin), width, stack, scale)
    ]
    parts.extend(_steps(axis, columns, scale))
    return _chart(axis, scale, parts, title=title, markers=markers)


def curve_chart(axis: Axis, curves: Sequence[Curve], *, title: str, markers: Iterable[Marker] = ()) -> Markup:
    """Draw curves over time. A filled curve is an area down to zero."""
    scale = _Scale(max((value for curve in curves for _, value in curve.points), default=0))
    parts = [_curve(axis, curve, scale) for curve in curves if curve.points]
    return _chart(axis, scale, parts, title=title, markers=markers)


def share_bar(shares: Iterable[tuple[str, float]]) -> Markup:
    """Draw a horizontal bar. Each of its parts is given as (CSS class, share from 0 to 1)."""
    parts, left = [], 0.0
    for kind, share in shares:
        if share > 0:
            parts.append(
                Markup('<rect class="{}" x="{}%" width="{}%" height="100%"/>').format(
                    kind, _number(100 * left), _number(100 * share)
                )
            )
        left += share
    return _bar(parts)


def range_bar(share: float, low: float | None, high: float | None, middle: float | None) -> Markup:
    """Draw a share as a bar, with the range (`low` to `high`) and the median (`middle`) of earlier shares."""
    parts = []
    if low is not None and high is not None:
        parts.append(
            Markup('<rect class="range" x="{}%" width="{}%" height="100%"/>').format(
                _number(100 * low), _number(max(100 * (high - low), _THIN))
            )
        )
    parts.append(Markup('<rect class="now" y="25%" width="{}%" height="50%"/>').format(_number(100 * share)))
    if middle is not None:
        parts.append(Markup('<rect class="middle" x="{}%" width="2" height="100%"/>').format(_number(100 * middle)))
    return _bar(parts)


def threshold_bar(score: float, threshold: float | None, *, reached: bool) -> Markup:
    """Draw a score from 0 to 1 as a bar, with a line at the threshold."""
    kind = "score reached" if reached else "score"
    parts = [
        Markup('<rect class="{}" y="20%" width="{}%" height="60%"/>').format(kind, _number(100 * min(max(score, 0), 1)))
    ]
    if threshold is not None:
        parts.append(Markup('<rect class="limit" x="{}%" width="2" height="100%"/>').format(_number(100 * threshold)))
    return _bar(parts)


class _Scale:
    """The vertical axis from 0 to a round number."""

    def __init__(self, highest: float) -> None:
        self.step = _round_step(highest / 3) if highest > 0 else 1.0
        self.top = max(self.step, self.step * -(-highest // self.step))

    def y(self, value: float) -> float:
        """Return the vertical position in the plot, whose height is 100."""
        return 100 - 100 * value / self.top

    def lines(self) -> list[float]:
        """Return the values of the horizontal lines, without zero."""
        return [self.step * number for number in range(1, int(self.top / self.step + 0.5) + 1)]


def _round_step(about: float) -> float:
    """Return the smallest of the numbers 1, 2, 5, 10, 20, 50, ... that is not below `about`."""
    power = 1.0
    while True:
        for step in _STEPS:
            if step * power >= about:
                return step * power
        power *= 10


def _stacked(x: float, width: float, stack: Mapping[str, int], scale: _Scale) -> Iterable[Markup]:
    below = 0
    for kind in STACK:
        images = stack.get(kind, 0)
        if images:
            height = 100 * images / scale.top
            yield Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>').format(
                kind,
                _number(x + width * 0.06),
                _number(scale.y(below + images)),
                _number(width * 0.88),
                _number(height),
            )
        below += images


def _steps(axis: Axis, columns: Columns, scale: _Scale) -> Iterable[Markup]:
    """Draw a path that rises and falls at the edges of the columns; an interval without a value is zero."""
    if not columns.steps:
        return
    path, last = [], None
    for begin in sorted(columns.steps):
        left, right = 10 * axis.percent(begin), 10 * axis.percent(begin + columns.width)
        y = scale.y(columns.steps[begin])
        path.append(f"M{_number(left)} 100V{_number(y)}" if last != begin else f"V{_number(y)}")
        path.append(f"H{_number(right)}")
        last = begin + columns.width
        if last not in columns.steps:
            path.append("V100")
    yield Markup('<path class="arrived" d="{}"/>').format("".join(path))


def _curve(axis: Axis, curve: Curve, scale: _Scale) -> Markup:
    places = [f"{_number(10 * axis.percent(at))} {_number(scale.y(value))}" for at, value in curve.points]
    path = "M" + "L".join(places)
    if curve.filled:
        first, last = (_number(10 * axis.percent(curve.points[end][0])) for end in (0, -1))
        path += f"L{last} 100L{first} 100Z"
    return Markup('<path class="{}" d="{}"/>').format(f"{curve.kind} area" if curve.filled else curve.kind, path)


def _chart(axis: Axis, scale: _Scale, parts: Iterable[Markup], *, title: str, markers: Iterable[Marker] = ()) -> Markup:
    height = _PLOT_TOP + _PLOT_HEIGHT + _LABELS_HEIGHT
    plot = Markup(
        '<svg x="0" y="{}" width="100%" height="{}" viewBox="0 0 1000 100" preserveAspectRatio="none">{}</svg>'
    ).format(_PLOT_TOP, _PLOT_HEIGHT, Markup("").join(parts))
    return Markup('<svg class="chart" role="img" aria-label="{}" width="100%" height="{}">{}{}{}{}</svg>').format(
        title, height, _grid(scale), plot, _hours(axis), Markup("").join(_markers(axis, list(markers)))
    )


def _grid(scale: _Scale) -> Markup:
    lines = [
        Markup(
            '<line class="grid" x1="0" x2="100%" y1="{y}" y2="{y}"/><text class="tick" x="0" y="{above}">{value}</text>'
        ).format(
            y=_number(_height_of(scale, value)), above=_number(_height_of(scale, value) - 4), value=f"{value:,.0f}"
        )
        for value in scale.lines()
    ]
    base = Markup('<line class="axis" x1="0" x2="100%" y1="{y}" y2="{y}"/>').format(y=_PLOT_TOP + _PLOT_HEIGHT)
    return Markup("").join([*lines, base])


def _height_of(scale: _Scale, value: float) -> float:
    return _PLOT_TOP + _PLOT_HEIGHT * scale.y(value) / 100


def _hours(axis: Axis) -> Markup:
    y = _PLOT_TOP + _PLOT_HEIGHT + 16
    return Markup("").join(
        Markup('<text class="tick" text-anchor="{}" x="{}%" y="{}">{}</text>').format(
            _anchor(axis.percent(hour)), _number(axis.percent(hour)), y, f"{axis.nights.local(hour):%H:%M}"
        )
        for hour in axis.hours()
    )


def _markers(axis: Axis, markers: Sequence[Marker]) -> Iterable[Markup]:
    """Draw markers. A word is drawn lower if it would overlap the label of the highest line, or a later word."""
    places = [axis.percent(marker.at) for marker in markers]
    for number, (marker, x) in enumerate(zip(markers, places, strict=True)):
        if 0 <= x <= 100:  # noqa: PLR2004 - percent
            crowded = x < _NEAR or any(abs(x - other) < _NEAR for other in places[number + 1 :])
            yield _marker(marker, x, _WORD_HEIGHTS[crowded])


def _marker(marker: Marker, x: float, height: int) -> Markup:
    anchor = "end" if x > 50 else "start"  # noqa: PLR2004 - the word stands on the side with more room
    return Markup(
        '<line class="marker {kind}" x1="{x}%" x2="{x}%" y1="{top}" y2="{bottom}"/>'
        '<text class="marker {kind}" text-anchor="{anchor}" dx="{dx}" x="{x}%" y="{height}">{text}</text>'
    ).format(
        kind=marker.kind,
        x=_number(x),
        top=_PLOT_TOP - 12,
        bottom=_PLOT_TOP + _PLOT_HEIGHT,
        anchor=anchor,
        dx=-4 if anchor == "end" else 4,
        height=height,
        text=marker.text,
    )


def _anchor(percent: float) -> str:
    if percent < _EDGE:
        return "start"
    return "end" if percent > 100 - _EDGE else "middle"


def _bar(parts: Iterable[Markup]) -> Markup:
    return Markup('<svg class="bar" aria-hidden="true" width="100%" height="10">{}</svg>').format(
        Markup("").join(map(escape, parts))
    )


def _number(value: float) -> str:
    """Return a number for SVG, with at most two decimals."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


_THIN = 0.5
