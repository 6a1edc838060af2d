"""Compute what is left to do and when it will be done, for `nightread status` and for the pages."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from db import queries
from db.engine import Database
from db.ledger import Cause
from nightread.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class RemainingWork:
    """The unfinished images of all periods, and the pace of their analysis."""

    ready: int
    """Number of unfinished images that wait neither for a later time nor for a paused source."""
    postponed: Sequence[queries.Postponed]
    held: int
    """Number of images that wait because their source is paused."""
    held_for_hours: int
    """Number of images that wait only because the present time is outside of the daily hours of their source."""
    pauses: Sequence[queries.Pause]
    pace: queries.Pace

    @property
    def is_paused(self) -> bool:
        """Return whether the dispatch of all images is paused."""
        return is_paused(self.pauses)


def remaining_work(database: Database, settings: Settings, *, unfinished: int, now: datetime) -> RemainingWork:
    """Read what is left to do; `unfinished` is the number of unfinished images of all periods.

    The pace predicts no end if all dispatch is paused, or if every unfinished image waits for a later time or a paused
    source.
    """
    arrival_timeout = timedelta(seconds=settings.arrival_timeout_seconds)
    postponed = queries.postponed(database, now=now, arrival_timeout=arrival_timeout)
    pauses = queries.pauses(database)
    paused = [pause.source_id for pause in pauses if pause.source_id is not None]
    held = queries.held_images(database, paused, now=now)
    only_hours = {pause.source_id for pause in pauses if pause.cause is Cause.HOURS and pause.source_id is not None}
    only_hours -= {pause.source_id for pause in pauses if pause.cause is not Cause.HOURS}
    held_for_hours = queries.held_images(database, only_hours, now=now)
    ready = ready_images(unfinished, postponed, held)
    pace = queries.pace(database, unfinished=ready, now=now)
    # During a pause only open batches are finished, so the pace does not predict the end.
    if unfinished and (is_paused(pauses) or not ready):
        pace = replace(pace, eta_seconds=None, soonest_seconds=None, latest_seconds=None)
    return RemainingWork(
        ready=ready, postponed=postponed, held=held, held_for_hours=held_for_hours, pauses=pauses, pace=pace
    )


def ready_images(unfinished: int, postponed: Sequence[queries.Postponed], held: int) -> int:
    """Return the number of unfinished images that wait neither for a later time nor for a paused source."""
    return max(0, unfinished - held - sum(group.images for group in postponed))


def is_paused(pauses: Sequence[queries.Pause]) -> bool:
    """Return whether one of the pauses stops the dispatch of all images."""
    return any(pause.source_id is None for pause in pauses)
