"""Tell what the unfinished images wait for: a process, the rest of a file, their source, disk space or a person."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from db import queries
from db.condition.remaining_work import RemainingWork
from db.ledger import Cause
from nightread.reasons import Reason

_REST_OF_FILE = frozenset({Reason.STILL_ARRIVING, Reason.STILL_CHANGING})
_SOURCE = frozenset({Reason.SOURCE_GONE, Reason.STORE_UNAVAILABLE, Reason.MISSING_FILE, Reason.UNREADABLE})


@dataclass(frozen=True, kw_only=True, slots=True)
class WaitingWork:
    """The unfinished images, by what they wait for. The numbers add up to all unfinished images."""

    ready: int
    """Images that wait only for a free process."""
    being_analysed: int
    """Images that are in a batch."""
    rest_of_file: int
    """Images whose file is not complete yet."""
    rest_of_file_until: datetime | None
    """The latest time until which nightread waits for the rest of a file; None if it waits for none."""
    source: int
    """Images whose folder or store is unavailable."""
    disk_space: int
    hours: int
    """Images that wait for the daily hours of their source."""
    person: int
    """Images that a person or the circuit breaker paused. A person must act in both cases."""
    retry: int
    """Images that are retried later because of a temporary error that no other field counts."""
    unregistered_files: int
    """Files in watched folders that are not complete yet. They have not arrived, so they are not part of the sum."""

    def to_json(self) -> dict[str, Any]:
        """Return the object for `status --json`; its names are stable."""
        until = self.rest_of_file_until
        return {**asdict(self), "rest_of_file_until": until.isoformat() if until else None}


def waiting_for(tally: queries.Tally, left: RemainingWork, sources: Sequence[queries.Source]) -> WaitingWork:
    """Divide the unfinished images by what they wait for."""
    rest = [group for group in left.postponed if group.reason in _REST_OF_FILE]
    source = _images(group for group in left.postponed if group.reason in _SOURCE)
    space = _images(group for group in left.postponed if group.reason == Reason.NO_ROOM)
    postponed = _images(left.postponed)
    held = min(left.held, max(0, tally.waiting - postponed))
    for_hours = min(left.held_for_hours, held)
    ready = max(0, tally.waiting - postponed - held)
    # A pause of all dispatch also stops the images that would be ready.
    causes = {pause.cause for pause in left.pauses if pause.source_id is None}
    for_person = ready if causes - {Cause.DISK} else 0
    for_space = ready - for_person if causes else 0
    return WaitingWork(
        ready=ready - for_person - for_space,
        being_analysed=tally.queued + tally.running,
        rest_of_file=_images(rest),
        rest_of_file_until=max((group.until for group in rest if group.until), default=None),
        source=source,
        disk_space=space + for_space,
        hours=for_hours,
        person=held - for_hours + for_person,
        retry=postponed - _images(rest) - source - space,
        unregistered_files=sum((each.report or {}).get("pending", 0) for each in sources if each.kind == "folder"),
    )


def _images(groups: Iterable[queries.Postponed]) -> int:
    return sum(group.images for group in groups)
