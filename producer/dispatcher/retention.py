"""Purge results that are older than `keep_results_days`, once a day and in small steps between batches."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from db import ledger, queries
from db.engine import Database
from db.ledger.purge import IMAGES_AT_ONCE
from db.queries import Outdated
from nightread.clock import Clock
from nightread.settings import Settings
from producer.spool.purged_files import remove_pictures_in_steps, remove_purged_files

log = logging.getLogger(__name__)

DAY_SECONDS = 86400.0


@dataclass(kw_only=True, slots=True)
class _Run:
    """The progress of today's purge."""

    began_at: datetime
    before: datetime
    """Images with an older outcome are purged."""
    kept: frozenset[int]
    """Ids of images whose results are still needed, because younger duplicates show them."""
    after: Outdated | None = None
    images: int = 0
    pictures: Iterator[int] | None = None
    """Iterator that removes the pictures of purged images, some at each step. The value is None while old images are
    still being purged."""


class Retention:
    """Purges images by the age of their outcome; with `keep_results_days` 0 it does nothing."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._monotonic = monotonic
        self._due_at = float("-inf")
        self._run: _Run | None = None

    @property
    def is_running(self) -> bool:
        """Return whether a purge has begun and is not complete."""
        return self._run is not None

    def step(self) -> int:
        """Purge up to 200 images if today's purge is not complete. Returns their number. Raises errors of the database.

        A purge begins at the first step, and again a day after each purge. A step is one short transaction, so that
        batches are dispatched in time. The last steps of a purge check a thousand pictures each.
        """
        if self._settings.keep_results_days == 0:
            return 0
        if self._run is None:
            if self._monotonic() < self._due_at:
                return 0
            self._run = self._begin()
        page = queries.outdated(self._database, before=self._run.before, after=self._run.after, limit=IMAGES_AT_ONCE)
        if not page:
            self._remove_pictures(self._run)
            return 0
        self._run.after = page[-1]
        return self._purge(self._run, [each.image_id for each in page if each.image_id not in self._run.kept])

    def _begin(self) -> _Run:
        now = self._clock()
        before = now - timedelta(days=self._settings.keep_results_days)
        return _Run(began_at=now, before=before, kept=queries.originals_in_use(self._database, since=before))

    def _purge(self, run: _Run, image_ids: list[int]) -> int:
        if not image_ids:
            return 0
        purged = ledger.purge_by_age(
            self._database,
            image_ids,
            days=self._settings.keep_results_days,
            duplicates_since=run.began_at,
            now=self._clock(),
        )
        run.images += purged.images
        try:
            remove_purged_files(self._settings, queries.sources(self._database), purged.places)
        except OSError as error:
            log.warning("files of purged images could not be removed", extra={"errno": error.errno})
        return purged.images

    def _remove_pictures(self, run: _Run) -> None:
        """Check the next thousand pictures. End the run if no pictures are left, or if no image was purged."""
        if run.pictures is None:
            run.pictures = remove_pictures_in_steps(self._database, self._settings) if run.images else iter(())
        try:
            if next(run.pictures, None) is not None:
                return
        except OSError as error:
            log.warning("pictures of purged images could not be removed", extra={"errno": error.errno})
        self._run, self._due_at = None, self._monotonic() + DAY_SECONDS
        if run.images:
            ledger.forget_purged_studies(self._database)
            if not self._database.empty_log():
                log.warning("the write-ahead log of the database still has pages of purged images")
            log.info("old results were purged", extra={"images": run.images})
