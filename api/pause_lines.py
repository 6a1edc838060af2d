"""Describe the active pauses as sentences for an operator."""

import shlex
from collections.abc import Iterator, Sequence

from db.ledger import Cause
from db.queries import Pause
from nightread.nights import Nights
from nightread.settings import Settings
from nightread.wording import duration

_REMEDIES = {
    Cause.BREAKER: (
        "Find the cause with `nightread query --in-state failed` and `nightread query --in-state rejected`, fix it, "
        "then run `nightread retry` and `{resume}`."
    ),
    Cause.DISK: "Free some disk space: dispatch then continues by itself.",
    Cause.HOURS: "The images are analysed in these hours; to change them, edit `hours` of the source in the settings.",
    Cause.PERSON: "Run `{resume}` to end the pause.",
}


def paused_lines(pauses: Sequence[Pause], settings: Settings, nights: Nights) -> Iterator[str]:
    """Yield two or three lines for each pause: who or what paused dispatch, since when, why, and what to do."""
    for pause in pauses:
        yield f"{_cause(pause)} (since {nights.local(pause.since):%a %H:%M}). {pause.detail}".rstrip()
        if pause.cause is Cause.BREAKER:
            yield _probe_line(pause, settings, nights)
        yield _REMEDIES[pause.cause].format(resume=_resume(pause))


def _cause(pause: Pause) -> str:
    match pause.cause:
        case Cause.BREAKER if pause.source is not None:
            return f"The source {pause.source} is paused automatically: too many bad images"
        case Cause.BREAKER:
            return "Paused automatically: too many failures"
        case Cause.DISK:
            return "Paused automatically: not enough disk space"
        case Cause.HOURS:
            return f"The images of the source {pause.source} wait for its hours"
    what = "Paused" if pause.source is None else f"The source {pause.source} is paused"
    return f"{what} by {pause.actor}"


def _resume(pause: Pause) -> str:
    return "nightread resume" + ("" if pause.source is None else f" --source {shlex.quote(pause.source)}")


def _probe_line(pause: Pause, settings: Settings, nights: Nights) -> str:
    if pause.probe_batch is not None:
        return "A probe of a few images is being analysed: if they succeed, dispatch continues by itself."
    interval = duration(settings.breaker_probe_seconds)
    latest = f" (last at {nights.local(pause.probed_at):%H:%M})" if pause.probed_at else ""
    return (
        f"Every {interval} a few images are analysed as a probe{latest}: if they succeed, dispatch continues by itself."
    )
