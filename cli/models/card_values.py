"""Parse the fields of a bundle's card that are given on the command line."""

from collections.abc import Callable
from typing import Any

import click


class _Parsed(click.ParamType[Any]):
    """A click type that parses text with a function; its error message shows an example."""

    def __init__(self, name: str, example: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._example = example
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse the text; click may call this again with the parsed value, which is returned as it is."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except ValueError:
            self.fail(f"{value!r} is not valid: write it like {self._example}", param, ctx)


def _size(text: str) -> dict[str, int]:
    height, width, channels = map(int, text.lower().split("x"))
    return {"height": height, "width": width, "channels": channels}


def _intensity(text: str) -> dict[str, Any]:
    kind, *ends = text.split(":")
    if not ends:
        return {"kind": kind}
    if kind == "voi":
        (unusable,) = ends
        return {"kind": kind, "unusable": unusable}
    low, high = map(float, ends)
    return {"kind": kind, "low": low, "high": high}


def _span(text: str) -> dict[str, float]:
    low, high = map(float, text.split(".."))
    return {"scale_low": low, "scale_high": high}


def _threshold(text: str) -> tuple[str, float | None]:
    label, equals, level = text.rpartition("=")
    if not equals or not label:
        raise ValueError
    return label, None if level == "highest" else float(level)


SIZE = _Parsed("size", "224x224x3", _size)
INTENSITY = _Parsed("intensity", "window:-600:1500, voi, voi:refuse, full or percentile:1:99", _intensity)
SPAN = _Parsed("range", "0..255", _span)
NUMBERS = _Parsed("numbers", "0.485,0.456,0.406", lambda text: tuple(map(float, text.split(","))))
LABELS = _Parsed("labels", "clear,nodule", lambda text: [label.strip() for label in text.split(",")])
THRESHOLD = _Parsed("threshold", "nodule=0.5", _threshold)
