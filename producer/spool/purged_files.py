"""Remove nightread's own files of purged images: received and unpacked files, and pictures."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from db import queries
from db.engine import Database
from db.queries import Source
from nightread.paths import path_of, root_path
from nightread.settings import Settings
from nightread.sources import SPOOLED_KINDS

PICTURE_FOLDERS = ("thumbnails", "explanations")
"""Folders of the state folder with pictures whose names begin with an image id, or with `image-` and an image id."""
_NUMBER = re.compile(r"(?:image-)?(\d{1,18})(?!\d)")
_FILES_AT_ONCE = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class FileRemoval:
    """The result of the removal of the files of purged images, as counts."""

    removed: int = 0
    """Files of the spool that were removed."""
    elsewhere: int = 0
    """Images whose spool is on another host: the next purge of the spool on that host removes their files."""
    originals: int = 0
    """Images whose files were not made by nightread: it never touches such files."""


def remove_purged_files(
    settings: Settings, sources: Sequence[Source], places: Iterable[tuple[int, str]]
) -> FileRemoval:
    """Remove the spooled files at these places, given as (source id, uri). Raises OSError except for missing files."""
    by_id = {source.id: source for source in sources}
    removed = elsewhere = originals = 0
    for source_id, uri in places:
        source = by_id[source_id]
        root = settings.roots.get(source.name) or root_path(source.root)
        if not is_spool(source, root, settings):
            originals += 1
        elif not root.is_dir():
            elsewhere += 1
        else:
            removed += _remove(path_of(root, uri))
    return FileRemoval(removed=removed, elsewhere=elsewhere, originals=originals)


def is_spool(source: Source, root: Path, settings: Settings) -> bool:
    """Return whether nightread itself wrote the files of this source."""
    return source.kind in SPOOLED_KINDS or root.is_relative_to(settings.spool_folder.absolute())


def remove_pictures(database: Database, settings: Settings) -> int:
    """Remove the thumbnails and explanations of all images that were purged. Returns their number. Raises OSError."""
    return sum(remove_pictures_in_steps(database, settings))


def remove_pictures_in_steps(database: Database, settings: Settings) -> Iterator[int]:
    """Remove the pictures of purged images. Yields the number of removed files after each thousand checked files."""
    pictures = _pictures(settings.state_dir)
    while paths := list(islice(pictures, _FILES_AT_ONCE)):
        purged = queries.purged_among(database, [image_id for image_id, _ in paths])
        yield sum(_remove(path) for image_id, path in paths if image_id in purged)


def _pictures(state_dir: Path) -> Iterator[tuple[int, Path]]:
    for folder in PICTURE_FOLDERS:
        for parent, _, names in os.walk(state_dir / folder):
            for name in names:
                if number := _NUMBER.match(name):
                    yield int(number[1]), Path(parent) / name


def _remove(path: Path | bytes) -> bool:
    try:
        os.unlink(path)  # noqa: PTH108 - the path may be bytes
    except FileNotFoundError:
        return False
    return True
