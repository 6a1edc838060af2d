"""Describe one image with its frames, its model and its timeline."""

from typing import Any

from api.images.objects import describe
from api.sha256 import SMALL_FILE_BYTES, fill_sha256
from db import queries
from db.engine import Database
from db.queries import ImageFilter
from db.queries.originals import original
from nightread.settings import Settings

_MOST_FRAMES = 1000


def image_details(database: Database, settings: Settings, image_id: int) -> dict[str, Any] | None:
    """Return the object of an image with `predictions`, `model_digest` and `timeline`; None if there is no such image.

    `predictions` has the first 1,000 frames; `/v1/results?id=ID&frames=true` has all frames. `sha256` is computed from
    the file if the file has at most 64 MiB.
    """
    found = describe(database, [image_id], same_bytes_as={})
    if not found:
        return None
    analysed = original(database, image_id)
    return {
        **fill_sha256(database, settings, found[0].to_json(may_read=True), max_bytes=SMALL_FILE_BYTES),
        "model_digest": analysed.digest if analysed else None,
        "predictions": _predictions(database, image_id),
        "timeline": _timeline(database, image_id),
    }


def _predictions(database: Database, image_id: int) -> list[dict[str, Any]]:
    wanted = ImageFilter(image_ids=(image_id,), per_frame=True, limit=_MOST_FRAMES)
    return [
        {name: row[name] for name in ("frame", "label", "score", "scores")}
        for row in queries.images(database, wanted)
        if row["frame"] is not None
    ]


def _timeline(database: Database, image_id: int) -> list[dict[str, Any]]:
    """Return the events of the image in chronological order, like `nightread trace --json`."""
    (found,) = queries.trace(database, [image_id])
    return [
        {"at": event.at, "what": event.what.value, "detail": event.detail, "values": dict(event.values)}
        for event in found.events
    ]
