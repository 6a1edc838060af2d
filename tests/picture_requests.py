"""Make requests for pictures: a test names only what it is about."""

from pathlib import Path
from typing import Any

from api.original_files import OriginalPlace
from api.pictures.picture import PictureRequest

_OF_PLACE = ("content", "root", "uri", "in_store")


def request_of(image_id: int, **fields: Any) -> PictureRequest:
    """Return a request for a picture of this image."""
    place = {name: fields.pop(name) for name in _OF_PLACE if name in fields}
    return PictureRequest(place=place_of_file(image_id, **place), **fields)


def place_of_file(image_id: int, **fields: Any) -> OriginalPlace:
    """Return the place of a file in a folder."""
    values = {"source": "inbox", "root": "/inbox", "uri": "a.dcm", "content": "a" * 64, "in_store": False}
    return OriginalPlace(image_id=image_id, spooled=False, **{**values, **fields})


def written(folder: Path, data: bytes, digest: str) -> OriginalPlace:
    """Write a file, and return its place."""
    (folder / "a.dcm").write_bytes(data)
    return place_of_file(1, root=str(folder), content=digest)
