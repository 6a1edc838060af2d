"""Find out whether the file of an image is still there, so that a retry can succeed."""

import os

from db.queries import Retriable
from nightread.paths import path_of, root_path
from nightread.settings import Settings
from nightread.sources import SPOOLED_KINDS


def is_file_gone(image: Retriable, settings: Settings) -> bool:
    """Return whether the folder is on this machine and the file is not in it."""
    root = settings.roots.get(image.source) or root_path(image.root)
    return image.kind in ("folder", *SPOOLED_KINDS) and root.is_dir() and not os.path.lexists(path_of(root, image.uri))
