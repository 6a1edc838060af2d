"""Draw the plots of drift as inline SVG, with colours from classes of the style sheet."""

from collections.abc import Sequence

from markupsafe import Markup

from db.drift.plots import MeasurePlot, NightDistance

_WIDTH, _HEIGHT = 100, 60
_LINE_HEIGHT = 40
_FEWEST_BINS = 6


def histogram(plot: MeasurePlot) -> Markup:
    """Draw the shares of the reference as wide bars, and the shares of the night as narrow bars in front of them."""
    first, last = shown_bins(plot)
    highest = max(*plot.night, *plot.reference) or 1
    step = _WIDTH / (last - first)
    bars = [
        Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>').format(
            kind, _number(left), _number(_HEIGHT - height), _number(width), _number(height)
        )
        for place in range(first, last)
        for kind, share, begin, part in (
            ("reference", plot.reference[place], 0.05, 0.9),
            ("now", plot.night[place], 0.28, 0.44),
        )
        if (height := _HEIGHT * share / highest) > 0
        for left, width in ((step * (place - first + begin), step * part),)
    ]
    return _svg("histogram", _HEIGHT, f"Histogram of {plot.comparison.measure}", bars)


def history_line(history: Sequence[NightDistance]) -> Markup:
    """Draw the distances of the last nights as a line with points, and their limits as a dashed line."""
    top = 1.15 * max((max(each.distance, each.limit) for each in history), default=1)
    places = [_WIDTH * (number + 0.5) / max(1, len(history)) for number in range(len(history))]

    def height(value: float) -> float:
        return _LINE_HEIGHT * (1 - value / top)

    def path(values: Sequence[float]) -> str:
        return "M" + "L".join(f"{_number(x)} {_number(height(y))}" for x, y in zip(places, values, strict=True))

    parts = [
        Markup('<path class="limit" d="{}"/>').format(path([each.limit for each in history])),
        Markup('<path class="distance" d="{}"/>').format(path([each.distance for each in history])),
        *(
            Markup('<path class="{}" d="M{x} {y}h0"/>').format(
                "point over" if each.distance > each.limit else "point",
                x=_number(x),
                y=_number(height(each.distance)),
            )
            for x, each in zip(places, history, strict=True)
        ),
    ]
    return _svg("history", _LINE_HEIGHT, "Distance in the last nights", parts)


def shown_bins(plot: MeasurePlot) -> tuple[int, int]:
    """Return the range of the bins to show: (first, last + 1).

    It contains all bins that have images. It has at least six bins, or all bins if there are fewer.
    """
    used = [place for place in range(len(plot.bins)) if plot.night[place] or plot.reference[place]]
    first, last = (used[0], used[-1] + 1) if used else (0, 1)
    while last - first < min(_FEWEST_BINS, len(plot.bins)):
        first, last = max(0, first - 1), min(len(plot.bins), last + 1)
    return first, last


def _svg(kind: str, height: int, title: str, parts: Sequence[Markup]) -> Markup:
    return Markup(
        '<svg class="drift {}" role="img" aria-label="{}" viewBox="0 0 {} {}" preserveAspectRatio="none">{}</svg>'
    ).format(kind, title, _WIDTH, height, Markup("").join(parts))


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
