"""From an error to the outcome of its image."""

import logging
import random
from datetime import UTC, datetime, timedelta

from db.ledger import Claimed, Outcome
from db.tables import State
from imaging.facts import Facts
from nightread.errors import ImageError, RejectImage, RetryImage
from nightread.reasons import Reason
from nightread.settings import Settings
from worker.fetching.files import Fetched, FileChangedError

log = logging.getLogger(__name__)

_EPOCH = datetime.fromtimestamp(0, UTC)
_INCOMPLETE = (Reason.TRUNCATED, Reason.EMPTY)
_AWAY = (Reason.SOURCE_GONE, Reason.STORE_UNAVAILABLE)
_LONGEST_WAIT_SECONDS = 180
_DOUBLINGS = 30  # an image that is held for days is tried thousands of times


def outcome_of_error(
    image: Claimed, error: Exception, *, file: Fetched | None, facts: Facts, settings: Settings, now: datetime
) -> Outcome:
    """Reject, retry later or fail, as the error says; anything unexpected is `failed(internal_error)` and logged."""
    image_error, longest = _as_image_error(image, error), timedelta.max
    if isinstance(image_error, RejectImage) and image_error.reason in _INCOMPLETE and not _came_whole(image):
        longest = timedelta(seconds=settings.arrival_timeout_seconds) - _age(image, now)
        if longest > timedelta():
            image_error = RetryImage(Reason.STILL_ARRIVING)
    state = _state(image_error, image, settings, now)
    again = state is State.RECEIVED
    # The ledger follows a file that changed for as long as it is tried; what fails keeps the identity it arrived with.
    seen = error if again and isinstance(error, FileChangedError) else file
    return Outcome(
        work_id=image.work_id,
        instance_id=image.instance_id,
        first=image.first,
        state=state,
        reason=image_error.reason,
        detail=image_error.detail,
        not_before=now + min(_pause(image, image_error, settings, now), longest) if again else None,
        alone=image_error.reason is Reason.OUT_OF_MEMORY,
        uncounted=again and _merely_waits(image_error, settings),
        sha256=file.sha256 if file and not again else None,
        size=seen.size if seen else None,
        mtime_ns=seen.mtime_ns if seen else None,
        facts=facts,
    )


def _as_image_error(image: Claimed, error: Exception) -> ImageError:
    if isinstance(error, ImageError):
        return error
    if isinstance(error, MemoryError):
        return RetryImage(Reason.OUT_OF_MEMORY)
    log.error("unexpected error", exc_info=error, extra={"image": image.instance_id})
    return ImageError(Reason.INTERNAL_ERROR, f"An unexpected {type(error).__name__}; the log has the place.")


def _came_whole(image: Claimed) -> bool:
    """Whether it came out of an archive, which gave all that it had of it."""
    return image.origin not in ("", image.source)


def _age(image: Claimed, now: datetime) -> timedelta:
    """Since something was last seen to happen to the file; a time that lies ahead tells nothing."""
    written = _EPOCH + timedelta(microseconds=image.mtime_ns // 1000) if _is_past(image.mtime_ns, now) else _EPOCH
    return now - max(image.arrived_at, written)


def _is_past(mtime_ns: int, now: datetime) -> bool:
    return 0 < mtime_ns <= now.timestamp() * 1e9


def _state(image_error: ImageError, image: Claimed, settings: Settings, now: datetime) -> State:
    if isinstance(image_error, RejectImage):
        return State.REJECTED
    if image_error.reason is Reason.OUT_OF_MEMORY and image.alone:
        return State.FAILED
    if _merely_waits(image_error, settings):
        return State.RECEIVED
    patient = now - image.tried_since < timedelta(seconds=settings.retry_patience_seconds)
    if isinstance(image_error, RetryImage) and patient and image.attempts < settings.retry_limit:
        return State.RECEIVED
    return State.FAILED


def _merely_waits(image_error: ImageError, settings: Settings) -> bool:
    """Whether nothing of the image's was tried: its source is away, or its rest is to come."""
    return image_error.reason is Reason.STILL_ARRIVING or (
        image_error.reason in _AWAY and settings.hold_missing_sources
    )


def _pause(image: Claimed, image_error: ImageError, settings: Settings, now: datetime) -> timedelta:
    """Doubling, capped and jittered: a store that comes back is not met by everybody at once.

    An image that merely waits is looked at again after a third of the time for which it has waited.
    """
    seconds = settings.retry_base_seconds * 2.0 ** min(image.attempts - 1, _DOUBLINGS)
    if _merely_waits(image_error, settings):
        waited = (now - image.arrived_at).total_seconds()
        seconds = max(settings.retry_base_seconds, min(waited, _LONGEST_WAIT_SECONDS) / 3)
    seconds = min(settings.retry_cap_seconds, seconds)
    return timedelta(seconds=seconds * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
