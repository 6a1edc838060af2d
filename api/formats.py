"""Choose the format of a response: the parameter `format`, else the header Accept."""

from collections.abc import Collection
from http import HTTPStatus

from api.accept import accepted
from api.problems import Problem

MEDIA_TYPES = {
    "json": "application/json",
    "jsonl": "application/jsonl",
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
}
_FORMATS = {**{media_type: style for style, media_type in MEDIA_TYPES.items()}, "application/x-ndjson": "jsonl"}


def chosen_format(parameter: str | None, accept: str, styles: Collection[str] = tuple(MEDIA_TYPES)) -> str:
    """Return one of `styles`, which are keys of MEDIA_TYPES. Raises Problem 406 if the client accepts none of them."""
    if parameter is not None:
        return parameter
    found = accepted(accept, [media_type for media_type, style in _FORMATS.items() if style in styles])
    if not found:
        raise Problem(
            HTTPStatus.NOT_ACCEPTABLE,
            f"This is available as {', '.join(MEDIA_TYPES[style] for style in styles)} only: "
            "change the header Accept, or give the parameter `format`.",
        )
    return _FORMATS[found[0]]
