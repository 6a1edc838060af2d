"""Rank the media types that a client accepts by the header Accept (RFC 9110, section 12.5.1)."""

from collections.abc import Sequence

from starlette.datastructures import Headers

_MOST_RANGES = 64


def accept_of(headers: Headers) -> str:
    """Return the header Accept. Several headers of this name are one list."""
    return ", ".join(headers.getlist("accept"))


def accepted(accept: str, offered: Sequence[str]) -> list[str]:
    """Return those of the `offered` media types that the client accepts, the preferred one first.

    Types that the client prefers equally come in the order of its header, then in the order of `offered`. Without a
    media range in the header, the client accepts all types.
    """
    ranges = _ranges(accept)
    if not ranges:
        return list(offered)
    ranked = []
    for place, media_type in enumerate(offered):
        kind = media_type.partition("/")[0]
        name = next((name for name in (media_type, f"{kind}/*", "*/*") if name in ranges), None)
        if name is not None and ranges[name] > 0:
            ranked.append((-ranges[name], list(ranges).index(name), place, media_type))
    return [media_type for *_, media_type in sorted(ranked)]


def _ranges(accept: str) -> dict[str, float]:
    """Return the quality value of each media range, in the order of the header. Parameters of types are ignored."""
    found: dict[str, float] = {}
    for entry in accept.split(",")[:_MOST_RANGES]:
        name, *parameters = (part.strip().lower() for part in entry.split(";"))
        if name:
            found[name] = max(_quality(parameters), found.get(name, 0.0))
    return found


def _quality(parameters: Sequence[str]) -> float:
    """Return the parameter `q` as a number from 0 to 1; 0 if it is not a number."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return min(max(0.0, float(value)), 1.0)  # 0 for NaN too, since no comparison with NaN is true
            except ValueError:
                return 0.0
    return 1.0
