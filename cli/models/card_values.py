"""Parse the fields of a bundle's card that are given on the command line."""

from collections.abc import Callable, Iterable
from typing import Any

import click

from imaging.input_channel import channels_from_json
from imaging.spec import REFUSE
from models.domain import FIELDS, RANGES, Domain
from models.domain_of_data import with_stated
from nightread.errors import UsageFault


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
        if ends != [REFUSE]:
            raise ValueError
        return {"kind": kind, "unusable": REFUSE}
    low, high = map(float, ends)
    return {"kind": kind, "low": low, "high": high}


def _channel(text: str) -> dict[str, Any]:
    window, at, offset = text.partition("@")
    if not text:
        raise ValueError
    values: dict[str, Any] = {"offset": int(offset) if at else 0}
    if window:
        low, high = map(float, window.split(":"))
        values["window"] = [low, high]
    channels_from_json([values])
    return values


def _span(text: str) -> dict[str, float]:
    low, high = map(float, text.split(".."))
    return {"scale_low": low, "scale_high": high}


def _threshold(text: str) -> tuple[str, float | None]:
    label, equals, level = text.rpartition("=")
    if not equals or not label:
        raise ValueError
    return label, None if level == "highest" else float(level)


def _domain(text: str) -> tuple[str, Any]:
    """Return name and value of one field of the domain, as in bundle.json; an empty value allows every value."""
    name, equals, value = text.partition("=")
    values = [part.strip() for part in value.split(",") if part.strip()]
    if not equals or name not in FIELDS or (name == "intensities" and values):
        raise ValueError
    if name in RANGES and values:
        low, high = map(int, value.split(".."))
        return name, [low, high]
    if name == "dicom_only":
        return name, {"yes": True, "no": False, "": False}.get(value.strip().lower(), value)
    return name, [int(each) for each in values] if name == "samples" else values


def stated_domain(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return the fields of a domain from pairs of --domain (name, value). Raises UsageFault for invalid values."""
    stated = dict(pairs)
    try:
        with_stated(Domain(), stated)
    except (TypeError, ValueError) as error:
        raise UsageFault(f"--domain cannot be used: {error}.") from error
    return stated


SIZE = _Parsed("size", "224x224x3", _size)
INTENSITY = _Parsed("intensity", "window:-600:1500, voi, voi:refuse, full or percentile:1:99", _intensity)
CHANNEL = _Parsed("channel", "0:80, 0:80@-1 or @-1", _channel)
SPAN = _Parsed("range", "0..255", _span)
NUMBERS = _Parsed("numbers", "0.485,0.456,0.406", lambda text: tuple(map(float, text.split(","))))
LABELS = _Parsed("labels", "clear,nodule", lambda text: [label.strip() for label in text.split(",")])
THRESHOLD = _Parsed("threshold", "nodule=0.5", _threshold)
DOMAIN = _Parsed("domain", "modalities=CR,DX or rows=256..4096", _domain)

channel_option = click.option(
    "--channel",
    "meanings",
    type=CHANNEL,
    multiple=True,
    metavar="LOW:HIGH@OFFSET",
    help="What a channel shows; repeat it for each channel. 0:80 is a window in modality units; 0:80@-1 shows the "
    "slice before, 0:80@1 the slice behind; @-1 without a window takes the window of --intensity (docs/series.md).",
)
domain_option = click.option(
    "--domain",
    "domain",
    type=DOMAIN,
    multiple=True,
    metavar="FIELD=VALUES",
    help="Images that the model was made for, such as modalities=CR,DX or rows=256..4096 [derived from "
    "images]; an empty value allows every value; repeatable (docs/bundles.md).",
)
