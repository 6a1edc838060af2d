"""Find the images that a person names by id, path, URL, UID or content (`blake3:` or `sha256:`)."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote_to_bytes

from db import queries
from db.engine import Database
from db.queries import ImageFilter, Source
from nightread.content_digest import is_content
from nightread.errors import UsageFault
from nightread.paths import absolute, root_path, uri_of
from nightread.plain_text import is_uid
from nightread.settings import Settings
from nightread.stores import STORES

_UID_FILTERS = ("sop_instance_uid", "study_instance_uid", "series_instance_uid")


def named_images(database: Database, settings: Settings, name: str) -> list[int]:
    """Return the ids of all arrivals that the text names. A path names all files that were ever at this path.

    Raises UsageFault if no arrival matches.
    """
    if re.fullmatch(r"\d{1,18}", name):
        found = queries.image_ids(database, ImageFilter(image_ids=(int(name),)))
    elif is_uid(name):
        found = _by_uid(database, name)
    elif is_content(name):
        found = queries.image_ids(database, ImageFilter(contents=(name,)))
    else:
        places = [place for source in queries.sources(database) for place in _places(source, settings, name)]
        found = queries.image_ids_at(database, places)
    if not found:
        raise UsageFault(_not_found(name))
    return found


def _by_uid(database: Database, uid: str) -> list[int]:
    """Search by SOP Instance UID first and by Series Instance UID last, because `instances` has no index on series."""
    for column in _UID_FILTERS:
        if found := queries.image_ids(database, ImageFilter(**{column: uid})):  # type: ignore[arg-type]
            return found
    return []


def _places(source: Source, settings: Settings, name: str) -> Iterator[tuple[int, str]]:
    """Yield (source id, uri) for each place in this source that the text may mean.

    The text is a path on this host, or an address as `nightread query` prints it.
    """
    if name.startswith(f"{source.root}/"):
        below = name.removeprefix(f"{source.root}/")
        yield source.id, below if source.kind in STORES else uri_of(unquote_to_bytes(below))
    if source.kind not in STORES:
        root = os.fsencode(settings.roots.get(source.name) or root_path(source.root))
        path = os.fsencode(absolute(Path(name)))
        if path.startswith(root.removesuffix(b"/") + b"/"):
            yield source.id, uri_of(path[len(root.removesuffix(b"/")) + 1 :])


def _not_found(name: str) -> str:
    if re.fullmatch(r"\d{1,18}", name) or is_content(name) or is_uid(name):
        return f"No image in the database has {name}. A UID is known once a worker has read the file."
    return (
        f"No file arrived from {name}. `nightread status` lists the sources; `nightread audit` lists the files in "
        "their folders that the database does not have."
    )
