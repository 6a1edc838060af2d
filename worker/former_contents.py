"""Recognise files that were analysed by an earlier release, which identified files by their SHA-256."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from db import ledger
from db.engine import Database
from db.ledger import Claimed
from nightread.clock import Clock
from nightread.content_digest import former_content_of
from worker.fetching.files import Fetched
from worker.prepared_image import PreparedImage

_LOOK_AGAIN = timedelta(hours=1)

ReadAgain = Callable[[Claimed], Fetched | None]


class FormerContents:
    """Identifies a file by its SHA-256 if the database has results for it; all other files keep their BLAKE3-256.

    SHA-256 is slow, so few files are hashed with it: files with the SOP Instance UID of an image that has a SHA-256 in
    the database, and files without a UID. Once no result in the database has a SHA-256, no file is hashed with it.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        """Create the object. The database is first read when a file is to be identified."""
        self._database = database
        self._clock = clock
        self._exist = True
        self._look_at: datetime | None = None

    def identified(self, file: Fetched) -> Fetched:
        """Return the file, which has no usable UID. If the database has its SHA-256, `content` becomes this digest."""
        if not self._may_exist():
            return file
        former = former_content_of(file.data)
        known = ledger.former_contents(self._database, [former])
        return replace(file, content=former) if known else file

    def identified_again(self, image: Claimed, file: Fetched, read_again: ReadAgain) -> Fetched:
        """Do the same as `identified` for a file whose bytes are no longer in memory.

        `read_again` returns the file of an image, or None.
        """
        again = read_again(image) if self._may_exist() else None
        if again is None or again.content != file.content:
            return file  # the file is gone or has changed: the bytes that were read first are analysed
        return self.identified(again).without_data()

    def resolved(self, part: Sequence[PreparedImage], read_again: ReadAgain) -> Sequence[PreparedImage]:
        """Return the images. If the database has the SHA-256 of an image, its `content` becomes this digest.

        The bytes of the images are no longer in memory: `read_again` returns the file of an image, or None.
        """
        uids = {uid for prepared in part if (uid := prepared.parsed.facts.sop_instance_uid)}
        known = ledger.former_uids(self._database, uids) if uids and self._may_exist() else ()
        if not known:
            return part
        return [
            self._resolved(prepared, read_again) if prepared.parsed.facts.sop_instance_uid in known else prepared
            for prepared in part
        ]

    def _resolved(self, prepared: PreparedImage, read_again: ReadAgain) -> PreparedImage:
        parsed = prepared.parsed
        file = self.identified_again(parsed.image, parsed.file, read_again)
        return prepared._replace(parsed=parsed._replace(file=file))

    def _may_exist(self) -> bool:
        """Return whether any result has a SHA-256. Results with a SHA-256 can become fewer, but no new ones appear."""
        now = self._clock()
        if self._exist and (self._look_at is None or now >= self._look_at):
            self._exist = ledger.has_former_contents(self._database)
            self._look_at = now + _LOOK_AGAIN
        return self._exist
