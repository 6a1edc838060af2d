"""From the record of an image to the header that says whose study it is."""

import os
from hashlib import sha256
from pathlib import Path

from db.queries import OriginalFile
from delivery.identity import Identity, UnreadableHeaderError, read_identity
from delivery.reasons import DeliveryReason, NotDelivered
from nightread.instance import retrieve
from nightread.paths import ROOT_MARKER, path_of, root_path
from nightread.settings import Settings
from nightread.stores import open_store, store_of
from nightread.web import MissingError, TooMuchError, WebError, Website


class Originals:
    """Reads originals in the folders of this host, and in the stores that they came from."""

    def __init__(self, settings: Settings) -> None:
        """Connects to nothing yet."""
        self._settings = settings
        self._sites: dict[tuple[str, str], Website] = {}

    def identity(self, study_instance_uid: str, originals: list[OriginalFile]) -> Identity:
        """Of the first that is still what it was. Raises NotDelivered: SOURCE_AWAY where a later look may find one."""
        away: NotDelivered | None = None
        for original in originals:
            try:
                return read_identity(
                    self._read(original),
                    study_instance_uid=study_instance_uid,
                    sop_instance_uid=original.sop_instance_uid,
                )
            except UnreadableHeaderError:
                continue
            except NotDelivered as trouble:
                away = trouble if trouble.reason is DeliveryReason.SOURCE_AWAY else away
        raise away or NotDelivered(DeliveryReason.SOURCE_GONE)

    def _read(self, original: OriginalFile) -> bytes:
        if original.root.startswith(("http://", "https://")):
            return self._retrieve(original)
        data = self._read_file(original)
        if sha256(data).hexdigest() != original.sha256:
            raise NotDelivered(DeliveryReason.SOURCE_GONE)
        return data

    def _read_file(self, original: OriginalFile) -> bytes:
        root = self._settings.roots.get(original.source) or root_path(original.root)
        path = Path(os.fsdecode(path_of(root, original.uri)))
        try:
            return path.read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            there = os.path.lexists(root / ROOT_MARKER) if original.marked else root.is_dir()
            raise NotDelivered(DeliveryReason.SOURCE_GONE if there else DeliveryReason.SOURCE_AWAY) from None
        except OSError as error:
            detail = f"Reading an original failed ({type(error).__name__})."
            raise NotDelivered(DeliveryReason.SOURCE_AWAY, detail) from None

    def _retrieve(self, original: OriginalFile) -> bytes:
        """Its bytes need not be those that were analysed: stores write the file meta information anew."""
        try:
            return retrieve(self._site(original), original.uri, max_bytes=self._settings.max_file_bytes)
        except (MissingError, TooMuchError):
            raise NotDelivered(DeliveryReason.SOURCE_GONE) from None
        except WebError as error:
            raise NotDelivered(DeliveryReason.SOURCE_AWAY, f"The store of the images {error}.") from None

    def _site(self, original: OriginalFile) -> Website:
        key = original.source, original.root
        if key not in self._sites:
            self._sites[key] = open_store(store_of(self._settings, name=original.source, root=original.root))
        return self._sites[key]
