"""Read the file of an image, and verify that it is unchanged since its analysis."""

from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from nightread.content_digest import has_content
from nightread.source_files import LargeFileError, NotRegularError, OutsideSourceError, read_source_file


class NoOriginalError(Exception):
    """The original file of an image cannot be returned. The message is a sentence that names the image by its id."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


@dataclass(frozen=True, kw_only=True, slots=True)
class OriginalPlace:
    """Where the original file of an image lies, and which content (`blake3:...`) its bytes must have."""

    image_id: int
    source: str
    root: str
    """The folder on this host, or the URL of the store."""
    uri: str
    content: str
    in_store: bool
    spooled: bool
    size: int = 0
    mtime_ns: int = 0
    marked: bool = False
    """`size`, `mtime_ns` and `marked` exist because worker.fetching reads them. The API does not know their values."""

    def require_unchanged(self, data: bytes) -> bytes:
        """Return `data`. Raises NoOriginalError if other bytes were analysed."""
        if not has_content(data, self.content):
            raise NoOriginalError(
                HTTPStatus.CONFLICT,
                f"The file of image {self.image_id} was changed after its analysis: its bytes are different.",
            )
        return data


def read_file(place: OriginalPlace, *, max_bytes: int) -> bytes:
    """Return the bytes of a file. Raises NoOriginalError if it is missing, unreadable, changed or not in its source."""
    name = f"The file of image {place.image_id}"
    try:
        data = read_source_file(Path(place.root), place.uri, max_bytes=max_bytes)
    except (FileNotFoundError, NotADirectoryError):
        purged, moved = "was removed after its retention time (spool_keep_days)", "is no longer in its folder"
        raise NoOriginalError(HTTPStatus.GONE, f"{name} {purged if place.spooled else moved}.") from None
    except OutsideSourceError:
        detail = f"{name} is not read: a symbolic link leads out of its source folder."
        raise NoOriginalError(HTTPStatus.CONFLICT, detail) from None
    except (NotRegularError, LargeFileError, ValueError) as error:
        raise NoOriginalError(HTTPStatus.CONFLICT, f"{name} cannot be read ({type(error).__name__}).") from None
    except OSError as error:
        detail = f"{name} cannot be read ({type(error).__name__})."
        raise NoOriginalError(HTTPStatus.SERVICE_UNAVAILABLE, detail) from None
    return place.require_unchanged(data)
