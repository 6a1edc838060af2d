"""Pauses in force, in sentences for an operator and as JSON."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from cli.inputs.nights import Nights
from cli.output.tables import duration
from db.ledger import Cause
from db.queries import Pause
from nightread.settings import Settings

_REMEDIES = {
    Cause.BREAKER: (
        "See what went wrong with `nightread query --in-state failed` and `--in-state rejected`, mend it, "
        "try again with `nightread retry`, then `nightread resume`."
    ),
    Cause.DISK: "Make room: it goes on by itself.",
    Cause.PERSON: "`nightread resume` ends it.",
}


def paused_lines(pauses: Sequence[Pause], settings: Settings, nights: Nights) -> Iterator[str]:
    """What is paused, since when, why, and what to do: a sentence for each pause."""
    for pause in pauses:
        by = f" by {pause.actor}" if pause.cause is Cause.PERSON else ""
        yield f"Paused ({pause.cause}{by}) since {nights.local(pause.since):%a %H:%M}: {pause.detail}"
        if pause.cause is Cause.BREAKER:
            yield _probe_line(pause, settings, nights)
        yield _REMEDIES[pause.cause]


def pause_json(pause: Pause, settings: Settings) -> dict[str, Any]:
    """For `status --json`; `probe` is null but for the breaker's pause, which ends by itself after a good one."""
    return {
        "cause": pause.cause.value,
        "since": pause.since.isoformat(),
        "detail": pause.detail,
        "actor": pause.actor,
        "probe": _probe_json(pause, settings) if pause.cause is Cause.BREAKER else None,
    }


def _probe_json(pause: Pause, settings: Settings) -> dict[str, Any]:
    due = (pause.probed_at or pause.since) + timedelta(seconds=settings.breaker_probe_seconds)
    return {
        "under_way": pause.probe_batch is not None,
        "batch": pause.probe_batch,
        "latest_at": pause.probed_at.isoformat() if pause.probed_at else None,
        "next_at": None if pause.probe_batch else due.isoformat(),
    }


def _probe_line(pause: Pause, settings: Settings, nights: Nights) -> str:
    if pause.probe_batch is not None:
        return "A few images are on trial now: if they turn out well, it goes on by itself."
    every = duration(settings.breaker_probe_seconds)
    latest = f" (the latest at {nights.local(pause.probed_at):%H:%M})" if pause.probed_at else ""
    return f"Every {every} a few images are tried{latest}: if they turn out well, it goes on by itself."
