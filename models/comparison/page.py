"""Write the comparison of two networks as one HTML page that loads no other file."""

from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from models.comparison.figures import figure, interval, p_value, signed
from models.comparison.pictures import FlipPicture
from models.comparison.values import NightComparison
from nightread.plain_text import visible

_TEMPLATE = "page.html.j2"
LISTED = 500
"""The page lists at most this number of flips; `--format csv` lists all flips."""


def comparison_page(
    comparison: NightComparison,
    *,
    chosen: str,
    pictures: Mapping[int, FlipPicture],
    only_first: int,
    only_second: int,
    not_for_diagnosis: bool,
) -> str:
    """Return the page as HTML text.

    `chosen` says which images were compared, `pictures` has the pictures of flips by image id, and `only_first` and
    `only_second` count the images that only one of the networks has analysed.
    """
    templates = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=templates, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.finalize = _plain
    environment.filters |= {"figure": figure, "interval": interval, "change": signed, "p": p_value}
    return environment.get_template(_TEMPLATE).render(
        of=comparison,
        chosen=chosen,
        pictures=pictures,
        only_first=only_first,
        only_second=only_second,
        not_for_diagnosis=not_for_diagnosis,
        listed=LISTED,
    )


def _plain(value: object) -> object:
    """Return a value for the page: a string with its control characters made visible, or any other value unchanged."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
