"""Choose the media type of a picture by the header Accept (RFC 9110 section 12.5.1), and compare entity tags."""

from api.pictures.picture import JPEG, PNG

_MOST_RANGES = 32


def media_type_for(accept: str | None) -> str | None:
    """Return the type that the client prefers, PNG or JPEG; PNG without a preference, None if it accepts neither."""
    if not accept or not accept.strip():
        return PNG
    ranges = dict(_range(part) for part in reversed(accept.split(",")[:_MOST_RANGES]))
    png, jpeg = _quality(PNG, ranges), _quality(JPEG, ranges)
    if max(png, jpeg) <= 0:
        return None
    return JPEG if jpeg > png else PNG


def matches(etag: str, if_none_match: str | None) -> bool:
    """Return whether the client has this picture already (RFC 9110 section 13.1.2)."""
    tags = [tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")]
    return etag in tags or "*" in tags


def _range(part: str) -> tuple[str, float]:
    name, *parameters = (word.strip().lower() for word in part.split(";"))
    quality = next((word[2:] for word in parameters if word.startswith("q=")), "1")
    try:
        return name, min(max(float(quality), 0.0), 1.0)
    except ValueError:
        return name, 0.0


def _quality(media_type: str, ranges: dict[str, float]) -> float:
    for name in (media_type, "image/*", "*/*"):
        if name in ranges:
            return ranges[name]
    return 0.0
