"""Read the original file of an image again, to get the identity of its patient and study."""

import os

from db.queries import OriginalFile
from delivery.identity import Identity, UnreadableHeaderError, read_identity
from delivery.reasons import DeliveryReason, NotDelivered
from nightread.content_digest import has_content
from nightread.instance import retrieve
from nightread.paths import ROOT_MARKER, root_path
from nightread.settings import Settings
from nightread.source_files import LargeFileError, NotRegularError, OutsideSourceError, read_source_file
from nightread.stores import open_store, store_of
from nightread.web import HttpClient, MissingError, TooMuchError, WebError


class Originals:
    """Reads original files from folders of this host and from stores."""

    def __init__(self, settings: Settings) -> None:
        """Connect to a store only when one of its images is read."""
        self._settings = settings
        self._clients: dict[tuple[str, str], HttpClient] = {}

    def identity(self, study_instance_uid: str, originals: list[OriginalFile]) -> Identity:
        """Return the identity from the first original that is unchanged.

        Raises NotDelivered: SOURCE_UNAVAILABLE if a later attempt may find an original, else SOURCE_GONE.
        """
        unavailable: NotDelivered | None = None
        for original in originals:
            try:
                return read_identity(
                    self.read(original),
                    study_instance_uid=study_instance_uid,
                    sop_instance_uid=original.sop_instance_uid,
                )
            except UnreadableHeaderError:
                continue
            except NotDelivered as error:
                unavailable = error if error.reason is DeliveryReason.SOURCE_UNAVAILABLE else unavailable
        raise unavailable or NotDelivered(DeliveryReason.SOURCE_GONE)

    def read(self, original: OriginalFile) -> bytes:
        """Return the bytes of an original. Raises NotDelivered(SOURCE_GONE or SOURCE_UNAVAILABLE)."""
        if original.root.startswith(("http://", "https://")):
            return self._retrieve(original)
        data = self._read_file(original)
        if not has_content(data, original.content):
            raise NotDelivered(DeliveryReason.SOURCE_GONE)
        return data

    def _read_file(self, original: OriginalFile) -> bytes:
        root = self._settings.roots.get(original.source) or root_path(original.root)
        try:
            return read_source_file(root, original.uri, max_bytes=self._settings.max_file_bytes)
        except (OutsideSourceError, NotRegularError, LargeFileError):
            raise NotDelivered(DeliveryReason.SOURCE_GONE) from None
        except (FileNotFoundError, NotADirectoryError):
            mounted = os.path.lexists(root / ROOT_MARKER) if original.marked else root.is_dir()
            raise NotDelivered(DeliveryReason.SOURCE_GONE if mounted else DeliveryReason.SOURCE_UNAVAILABLE) from None
        except OSError as error:
            detail = f"An original file of the study could not be read ({type(error).__name__})."
            raise NotDelivered(DeliveryReason.SOURCE_UNAVAILABLE, detail) from None

    def _retrieve(self, original: OriginalFile) -> bytes:
        """Retrieve the original from its store. Its digest is not compared: stores rewrite file meta information."""
        try:
            return retrieve(self._client(original), original.uri, max_bytes=self._settings.max_file_bytes)
        except (MissingError, TooMuchError):
            raise NotDelivered(DeliveryReason.SOURCE_GONE) from None
        except WebError as error:
            raise NotDelivered(DeliveryReason.SOURCE_UNAVAILABLE, f"The store that has the images {error}.") from None

    def _client(self, original: OriginalFile) -> HttpClient:
        key = original.source, original.root
        if key not in self._clients:
            self._clients[key] = open_store(store_of(self._settings, name=original.source, root=original.root))
        return self._clients[key]
