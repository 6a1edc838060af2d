"""Turn condition, pauses, postponed images, re-runs and sources into objects for `status --json`."""

from dataclasses import asdict
from datetime import timedelta
from typing import Any

from db.condition import Part, SystemCondition, headline
from db.ledger import Cause
from db.queries import Pause, Postponed, Source, WaitingRerun
from nightread.settings import Settings


def condition_json(condition: SystemCondition) -> dict[str, Any]:
    """Return the first members of `status --json`: level, problems, parts, waiting images and the expected end."""
    return {
        "level": condition.level.name.lower(),
        "headline": headline(condition),
        "problems": [{**asdict(problem), "level": problem.level.name.lower()} for problem in condition.problems],
        "parts": [_part_json(part) for part in condition.parts],
        "waiting_for": condition.waiting.to_json(),
        **condition.outlook.to_json(),
    }


def _part_json(part: Part) -> dict[str, Any]:
    return {
        "part": part.kind.value,
        "node": part.node,
        "state": part.state.value,
        "seen_at": part.seen_at.isoformat() if part.seen_at else None,
        "seconds": part.seconds,
        "sources": list(part.sources),
    }


def pause_json(pause: Pause, settings: Settings) -> dict[str, Any]:
    """Return a pause as an object for JSON; `probe` is null unless the circuit breaker made the pause."""
    return {
        "cause": pause.cause.value,
        "source": pause.source,
        "since": pause.since.isoformat(),
        "detail": pause.detail,
        "actor": pause.actor,
        "probe": _probe_json(pause, settings) if pause.cause is Cause.BREAKER else None,
    }


def postponed_json(group: Postponed) -> dict[str, Any]:
    """Return a group of postponed images as an object for JSON."""
    until = group.until.isoformat() if group.until else None
    return {"reason": group.reason, "images": group.images, "next_at": group.next_at.isoformat(), "until": until}


def rerun_json(rerun: WaitingRerun) -> dict[str, Any]:
    """Return a re-run as an object for JSON."""
    return {**asdict(rerun), "ordered_at": rerun.ordered_at.isoformat() if rerun.ordered_at else None}


def source_json(source: Source) -> dict[str, Any]:
    """Return a source as an object for JSON."""
    reported_at = source.reported_at.isoformat() if source.reported_at else None
    return {"name": source.name, "kind": source.kind, "report": source.report, "reported_at": reported_at}


def _probe_json(pause: Pause, settings: Settings) -> dict[str, Any]:
    due = (pause.probed_at or pause.since) + timedelta(seconds=settings.breaker_probe_seconds)
    return {
        "under_way": pause.probe_batch is not None,
        "batch": pause.probe_batch,
        "latest_at": pause.probed_at.isoformat() if pause.probed_at else None,
        "next_at": None if pause.probe_batch else due.isoformat(),
    }
