"""Render the templates of the pages and of the report. Values are escaped, and control characters are made visible."""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from api.pages import charts, links, words
from nightread.nights import Nights
from nightread.plain_text import visible
from nightread.wording import counted, duration

HERE = Path(__file__).parent
STATIC = HERE / "static"
NOT_FOR_DIAGNOSIS = "Not for diagnosis"


def render(name: str, nights: Nights, **values: Any) -> str:
    """Return the text of a template. `nights` converts times to local times."""
    return _environment().get_template(name).render(**_time_words(nights), **values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_plain,
    )
    environment.filters |= {
        "number": "{:,}".format,
        "share": words.share,
        "duration": duration,
        "score": "{:.3f}".format,
        "sentence": _sentence,
        "lower_first": lambda text: text[:1].lower() + text[1:],
        "file_end": _file_end,
        "size": _size,
    }
    environment.globals |= {
        "counted": counted,
        "images_link": links.images_link,
        "path_link": links.path_link,
        "results_link": links.results_link,
        "studies_data_link": links.studies_data_link,
        "study_link": links.study_link,
        "share_bar": charts.share_bar,
        "range_bar": charts.range_bar,
        "threshold_bar": charts.threshold_bar,
    }
    return environment


def _plain(value: object) -> object:
    """Return a value as a page shows it: text with visible control characters. Markup is not changed."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _sentence(text: str) -> Markup:
    """Return a sentence as markup; text between backticks, such as a command, becomes code."""
    parts = visible(text).split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else part for number, part in enumerate(parts)
    )


def _time_words(nights: Nights) -> Mapping[str, Callable[[datetime], str]]:
    def full(moment: datetime) -> str:
        local = nights.local(moment)
        return f"{local.day} {local:%b %Y %H:%M:%S}"

    def short(moment: datetime) -> str:
        local = nights.local(moment)
        return f"{local.day} {local:%b %H:%M}"

    return {
        "short_time": short,
        "hour_minute": lambda moment: f"{nights.local(moment):%H:%M}",
        "second": lambda moment: f"{nights.local(moment):%H:%M:%S}",
        "full_time": full,
        "iso": lambda moment: nights.local(moment).isoformat(timespec="seconds"),
    }


def _file_end(path: str | None) -> str:
    """Return the last two parts of a path, which are enough to recognise a file; `purged` if there is no path."""
    if path is None:
        return "purged"
    parts = path.rsplit("/", 2)
    return path if len(parts) < 3 else f"…/{parts[1]}/{parts[2]}"  # noqa: PLR2004


def _size(count: int) -> str:
    """Return a number of bytes with a unit, the largest one in which the number is at least 1."""
    value, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < _UNIT:
            break
        value, unit = value / _UNIT, larger
    return f"{value:,.0f} {unit}" if unit == "B" else f"{value:,.1f} {unit}"


_UNIT = 1024


@cache
def static_version() -> str:
    """Return a text that changes with the files in `static`, so that browsers may cache the files."""
    files = sorted(path for path in STATIC.iterdir() if path.is_file())
    return sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()[:12]
