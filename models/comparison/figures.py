"""Format the figures of a comparison for people."""

from models.comparison.agreement import Estimate

_SMALL_P = 0.0001


def figure(value: float | None) -> str:
    """Return a figure with three decimals; `n/a` for None."""
    return "n/a" if value is None else f"{value:.3f}"


def signed(value: float | None) -> str:
    """Return a change with its sign."""
    return "n/a" if value is None else f"{value:+.3f}"


def interval(of: Estimate | tuple[float | None, float | None], *, sign: bool = False) -> str:
    """Return both ends of an interval; an empty text if there is none."""
    low, high = (of.low, of.high) if isinstance(of, Estimate) else of
    shown = signed if sign else figure
    return "" if low is None or high is None else f"{shown(low)} to {shown(high)}"


def p_value(value: float | None) -> str:
    """Return a p-value with two significant digits, or `< 0.0001` for a smaller value."""
    if value is None:
        return "n/a"
    return f"{value:.2g}" if value >= _SMALL_P else f"< {_SMALL_P:g}"
