"""Choose the format of a response: the parameter `format`, else the header Accept (RFC 9110, section 12.5.1)."""

from collections.abc import Collection
from http import HTTPStatus

from api.problems import Problem

MEDIA_TYPES = {
    "json": "application/json",
    "jsonl": "application/jsonl",
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
}
_FORMATS = {
    **{media_type: style for style, media_type in MEDIA_TYPES.items()},
    "application/x-ndjson": "jsonl",
    "application/*": "json",
    "text/*": "csv",
    "*/*": "json",
}


def chosen_format(parameter: str | None, accept: str | None, styles: Collection[str] = tuple(MEDIA_TYPES)) -> str:
    """Return one of `styles`, which are keys of MEDIA_TYPES. Raises Problem 406 if the client accepts none of them."""
    if parameter is not None or not accept:
        return parameter or "json"
    ranked = sorted(
        (
            (quality, -place, style)
            for place, (style, quality) in enumerate(_accepted(accept))
            if quality > 0 and style in styles
        ),
        reverse=True,
    )
    if not ranked:
        raise Problem(
            HTTPStatus.NOT_ACCEPTABLE, f"This is available as {', '.join(MEDIA_TYPES[style] for style in styles)} only."
        )
    return ranked[0][2]


def _accepted(accept: str) -> list[tuple[str, float]]:
    """Return the known formats and their quality values, in the order of the header."""
    found = []
    for entry in accept.split(","):
        media_type, *parameters = (part.strip().lower() for part in entry.split(";"))
        style = _FORMATS.get(media_type)
        if style is not None:
            found.append((style, _quality(parameters)))
    return found


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
