"""Find and read the original file of an image in its folder or store."""

from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING

from api.original_files import NoOriginalError, OriginalPlace, read_file
from db.queries.originals import Original
from db.tables import State
from nightread.errors import ImageError
from nightread.paths import root_path
from nightread.reasons import Reason
from nightread.settings import Settings
from nightread.sources import SPOOLED_KINDS
from nightread.stores import STORES

if TYPE_CHECKING:  # only originals in stores need urllib3
    from worker.fetching.stores import Stores


def place_of(image: Original, settings: Settings) -> OriginalPlace:
    """Return where the original is. Raises NoOriginalError for archives and for images that were purged or not read."""
    if image.purged:
        raise NoOriginalError(HTTPStatus.GONE, f"Image {image.image_id} was purged.")
    if image.state == State.EXPANDED:
        raise NoOriginalError(
            HTTPStatus.CONFLICT, f"Image {image.image_id} is an archive: its images have ids of their own."
        )
    if image.content is None:
        why = f" ({image.reason})" if image.reason else ""
        raise NoOriginalError(
            HTTPStatus.CONFLICT,
            f"Image {image.image_id} has not been read completely: its state is {image.state}{why}.",
        )
    in_store = image.kind in STORES
    root = image.root if in_store else str(settings.roots.get(image.source) or root_path(image.root))
    return OriginalPlace(
        image_id=image.image_id,
        source=image.source,
        root=root,
        uri=image.uri,
        content=image.content,
        in_store=in_store,
        spooled=image.kind in SPOOLED_KINDS,
    )


class OriginalReader:
    """Reads originals from folders and from stores. It connects to a store at the first image of this store."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def read(self, place: OriginalPlace) -> bytes:
        """Return the bytes of the original, verified as unchanged. Thread-safe. Raises NoOriginalError."""
        if not place.in_store:
            return read_file(place, max_bytes=self._settings.max_file_bytes)
        return place.require_unchanged(self._retrieve(place))

    @cached_property
    def _stores(self) -> "Stores":
        from worker.fetching.stores import Stores  # noqa: PLC0415 - only originals in stores need urllib3

        return Stores(self._settings)

    def _retrieve(self, place: OriginalPlace) -> bytes:
        try:
            return self._stores.fetch(place).data
        except ImageError as error:
            gone = error.reason in (Reason.MISSING_FILE, Reason.TOO_LARGE)
            detail = f"The original of image {place.image_id} cannot be read. {error.detail}"
            raise NoOriginalError(HTTPStatus.GONE if gone else HTTPStatus.SERVICE_UNAVAILABLE, detail) from None
