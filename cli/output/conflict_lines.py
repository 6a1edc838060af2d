"""Describe images in conflict: sources that do not trust each other sent different versions or rejected an image."""

from dataclasses import asdict
from typing import Any

from cli.wording import counted
from db.queries import ConflictingImage


def conflicts_line(number: int) -> str:
    """Return the sentence for `status`: how many images, what happened to them, and what to do."""
    images = counted(number, "image is", "images are")
    return (
        f"{images} in conflict: a source tried to replace or withdraw a result and is not allowed to; all results stay "
        "(`nightread query --conflict`). Check the senders; if they belong together, give them the same `trust`."
    )


def conflict_line(conflict: ConflictingImage) -> str:
    """Return the line for `audit`."""
    what = "another version of" if conflict.kind == "version" else "a key object note that rejects"
    own = _origin(conflict.source, conflict.sender)
    other = _origin(conflict.other_source, conflict.other_sender)
    return f"image {conflict.image_id} of {own}: image {conflict.other_id} of {other} is {what} it"


def _origin(source: str, sender: str | None) -> str:
    return f"{source} ({sender})" if sender else source


def conflict_json(conflict: ConflictingImage) -> dict[str, Any]:
    """Return the object for `audit --json`."""
    return asdict(conflict)
