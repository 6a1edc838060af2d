"""Turn an error into the outcome of its image."""

import logging
import random
from datetime import UTC, datetime, timedelta

from db.ledger import Claimed, Outcome
from db.tables import State
from imaging.facts import Facts
from nightread.errors import ImageError, RejectImage, RetryImage
from nightread.paths import root_path
from nightread.reasons import Reason
from nightread.settings import Settings
from worker.fetching.files import Fetched, FileChangedError, is_in_store

log = logging.getLogger(__name__)

_EPOCH = datetime.fromtimestamp(0, UTC)
_INCOMPLETE = (Reason.TRUNCATED, Reason.EMPTY)
_SOURCE_UNAVAILABLE = (Reason.SOURCE_GONE, Reason.STORE_UNAVAILABLE)
_MAX_WAIT_SECONDS = 180
_MAX_DOUBLINGS = 30  # without a limit the power overflows: an image that is held for days is tried thousands of times


def outcome_of_error(
    image: Claimed, error: Exception, *, file: Fetched | None, facts: Facts, settings: Settings, now: datetime
) -> Outcome:
    """Return the outcome: rejected, received again (retry later) or failed.

    An unexpected error is logged and gives `failed` with the reason `internal_error`. An incomplete file is retried
    with the reason `still_arriving` until `arrival_timeout_seconds` have passed since its last change, unless nightread
    itself wrote the file.
    """
    image_error, max_delay = _as_image_error(image, error), timedelta.max
    if isinstance(image_error, RejectImage) and image_error.reason in _INCOMPLETE and not _is_whole(image, settings):
        max_delay = timedelta(seconds=settings.arrival_timeout_seconds) - _age(image, now)
        if max_delay > timedelta():
            image_error = RetryImage(Reason.STILL_ARRIVING, _until(now + max_delay))
    state = _state(image_error, image, settings, now)
    retried = state is State.RECEIVED
    # A retry stores the new size and time of a changed file; a failed image keeps those that were registered.
    identity = error if retried and isinstance(error, FileChangedError) else file
    return Outcome(
        work_id=image.work_id,
        instance_id=image.instance_id,
        state=state,
        reason=image_error.reason,
        detail=image_error.detail,
        not_before=now + min(_retry_delay(image, image_error, settings, now), max_delay) if retried else None,
        alone=image_error.reason is Reason.OUT_OF_MEMORY,
        uncounted=retried and _waits_for_source(image_error, settings),
        content=file.content if file and not retried else None,
        size=identity.size if identity else None,
        mtime_ns=identity.mtime_ns if identity else None,
        facts=facts,
    )


def _as_image_error(image: Claimed, error: Exception) -> ImageError:
    if isinstance(error, ImageError):
        return error
    if isinstance(error, MemoryError):
        return RetryImage(Reason.OUT_OF_MEMORY)
    log.error("unexpected error", exc_info=error, extra={"image": image.instance_id})
    return ImageError(
        Reason.INTERNAL_ERROR, f"An unexpected {type(error).__name__}; see the worker's log for this image id."
    )


def _until(moment: datetime) -> str:
    return f"{Reason.STILL_ARRIVING.message} It is read again until {moment:%Y-%m-%d %H:%M:%S} UTC."


def _is_whole(image: Claimed, settings: Settings) -> bool:
    """Return whether no rest of the file can arrive later, because it came out of an archive or lies in the spool.

    A file in the spool is registered when all that its sender sent is on the disk.
    """
    if image.origin not in ("", image.source):
        return True
    root = settings.roots.get(image.source) or root_path(image.root)
    return not is_in_store(image) and root.is_relative_to(settings.spool_folder.absolute())


def _age(image: Claimed, now: datetime) -> timedelta:
    """Return the time since the file arrived or was last written, whichever is later.

    A modification time in the future is ignored.
    """
    written = _EPOCH + timedelta(microseconds=image.mtime_ns // 1000) if _is_past(image.mtime_ns, now) else _EPOCH
    return now - max(image.arrived_at, written)


def _is_past(mtime_ns: int, now: datetime) -> bool:
    return 0 < mtime_ns <= now.timestamp() * 1e9


def _state(image_error: ImageError, image: Claimed, settings: Settings, now: datetime) -> State:
    if isinstance(image_error, RejectImage):
        return State.REJECTED
    if image_error.reason is Reason.OUT_OF_MEMORY and image.alone:
        return State.FAILED
    if _waits_for_source(image_error, settings) or _waits_for_free_space(image_error, settings):
        return State.RECEIVED
    within_patience = now - image.tried_since < timedelta(seconds=settings.retry_patience_seconds)
    if isinstance(image_error, RetryImage) and within_patience and image.attempts < settings.retry_limit:
        return State.RECEIVED
    return State.FAILED


def _waits_for_source(image_error: ImageError, settings: Settings) -> bool:
    """Return True if the attempt does not count, because the source is unavailable or the file is incomplete."""
    return image_error.reason is Reason.STILL_ARRIVING or (
        image_error.reason in _SOURCE_UNAVAILABLE and settings.hold_missing_sources
    )


def _waits_for_free_space(image_error: ImageError, settings: Settings) -> bool:
    """Return True for an archive that the disk cannot hold.

    Its attempts count, so that the pauses between them grow: each attempt may write gigabytes before it gives up.
    """
    return image_error.reason is Reason.NO_ROOM and settings.hold_missing_sources


def _retry_delay(image: Claimed, image_error: ImageError, settings: Settings, now: datetime) -> timedelta:
    """Return the time until the next attempt, at most `retry_cap_seconds`.

    Usually the time doubles with each attempt. For an image that waits for its source, it is a third of the time since
    the image arrived. The same applies to an image that is still arriving in a store. For an image that is still
    arriving in a folder, it is twice the time since the image arrived, because a watcher reports changes of its file.
    The time has jitter, so that the retries of several images do not reach a store together.
    """
    seconds = settings.retry_base_seconds * 2.0 ** min(image.attempts - 1, _MAX_DOUBLINGS)
    if _waits_for_source(image_error, settings):
        waited = (now - image.arrived_at).total_seconds()
        is_watched = image_error.reason is Reason.STILL_ARRIVING and not is_in_store(image)
        share = 2.0 if is_watched else 1 / 3
        seconds = max(settings.retry_base_seconds, min(waited, _MAX_WAIT_SECONDS) * share)
    seconds = min(settings.retry_cap_seconds, seconds)
    return timedelta(seconds=seconds * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not cryptography
