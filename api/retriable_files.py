"""Find out whether the file of an image still exists: without it a retry cannot succeed."""

import os

from db.queries import Retriable
from nightread.paths import path_of, root_path
from nightread.settings import Settings
from nightread.sources import SPOOLED_KINDS


def is_file_gone(image: Retriable, settings: Settings) -> bool:
    """Return whether this host has the source folder of the image, but not its file."""
    root = settings.roots.get(image.source) or root_path(image.root)
    return image.kind in ("folder", *SPOOLED_KINDS) and root.is_dir() and not os.path.lexists(path_of(root, image.uri))
