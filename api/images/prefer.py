"""Read how long a client wants to wait for its response: the header `Prefer` (RFC 7240), or the parameter `wait`."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

LONGEST_WAIT_SECONDS = 60.0
_ASYNC, _WAIT = "respond-async", "wait"
_BETWEEN_COMMAS = re.compile(r"""(?:[^,"]|"(?:[^"\\]|\\.)*"?)+""")
"""One preference with its parameters; commas in quoted strings separate nothing."""
_PREFERENCE = re.compile(r"""\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*(?:=\s*("[^"]*"|[^\s;,"]*))?(?:[\s;].*)?""", re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """How long a response may wait for the outcome."""

    seconds: float
    applied: tuple[str, ...] = ()
    """The preferences that were applied, for the header `Preference-Applied`."""

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers of the response."""
        named = {"Preference-Applied": ", ".join(self.applied)} if self.applied else {}
        return {"Vary": "Prefer", **named}


def waiting(headers: Sequence[str], parameter: float | None, default_seconds: float) -> Waiting:
    """Return the time to wait, at most LONGEST_WAIT_SECONDS.

    The parameter `wait` overrides `Prefer: wait=`. If neither is given, the time is 0 for `Prefer: respond-async`,
    else the default. Unknown and invalid preferences are ignored, as RFC 7240, section 2, demands.
    """
    if parameter is not None:
        return Waiting(seconds=min(parameter, LONGEST_WAIT_SECONDS))
    preferences: dict[str, str] = {}
    for name, value in _preferences(headers):
        preferences.setdefault(name, value)  # the first value of a preference counts
    applied = [_ASYNC] if _ASYNC in preferences else []
    seconds = 0.0 if applied else default_seconds
    wanted = preferences.get(_WAIT, "")
    if wanted.isascii() and wanted.isdecimal():
        seconds = min(float(wanted), LONGEST_WAIT_SECONDS)
        applied.append(f"{_WAIT}={seconds:.0f}")
    return Waiting(seconds=seconds, applied=tuple(applied))


def _preferences(headers: Sequence[str]) -> Iterator[tuple[str, str]]:
    for header in headers:
        for part in _BETWEEN_COMMAS.findall(header):
            found = _PREFERENCE.fullmatch(part)
            if found is not None:
                yield found[1].lower(), (found[2] or "").strip('"')
