"""Choose the images that can be analysed again, and give the reason for each image that cannot."""

import os
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from db import queries
from db.engine import Database
from db.ledger.reruns import can_be_analysed
from db.queries import ImageFilter, RerunCandidate
from db.tables import UNFINISHED, State
from nightread.paths import mtime_of, path_of, root_path
from nightread.settings import Settings
from nightread.stores import STORES

WHY = {
    "purged": "Everything that identifies the image was removed.",
    "opted_out": "The patient opted out.",
    "unfinished": "The first analysis is not finished yet.",
    "duplicate": "Another image has the same bytes; that image is analysed.",
    "without_result": "The first analysis had no result for a reason that another model does not change.",
    "outdated": "A newer version or a key object note replaced the image.",
    "missing_file": "The original is no longer in its folder.",
    "changed_file": "The file has changed since it was analysed.",
}
"""Why an image is left out of a re-run."""


@dataclass(kw_only=True)
class Selection:
    """The images of a re-run."""

    image_ids: list[int] = field(default_factory=list)
    left_out: list[tuple[int, str]] = field(default_factory=list)
    """Images that are left out: the id of each image, and the reason as a key of WHY."""
    unchecked: int = 0
    """Images that are analysed although this host cannot see whether their original exists."""

    @property
    def reasons(self) -> Counter[str]:
        """Return the number of images that are left out, by reason."""
        return Counter(reason for _, reason in self.left_out)

    def to_json(self) -> dict[str, Any]:
        """Return the values for `--json`; their names are stable."""
        left_out = [{"image_id": image_id, "reason": reason} for image_id, reason in self.left_out]
        return {"images": len(self.image_ids), "left_out": left_out, "unchecked_originals": self.unchecked}


def select_images(database: Database, settings: Settings, wanted: ImageFilter) -> Selection:
    """Choose the images that match the filter and, according to the database, can be analysed again.

    If the folder of an image's source is on this host, the file must also exist and be unchanged. Otherwise the image
    is chosen unchecked.
    """
    selection = Selection()
    opted_out = queries.opted_out_keys(database)
    for image in queries.rerun_candidates(database, queries.image_ids(database, wanted)):
        reason = _why_not(image, opted_out)
        if reason is None and not _is_here(image, settings):
            selection.unchecked += 1
        elif reason is None:
            reason = _why_no_file(image, settings)
        if reason is None:
            selection.image_ids.append(image.image_id)
        else:
            selection.left_out.append((image.image_id, reason))
    return selection


def _why_not(image: RerunCandidate, opted_out: Collection[str]) -> str | None:
    """Return why, according to the database, the image cannot be analysed again; None if it can."""
    tests = {
        "purged": image.purged,
        "opted_out": image.patient_key in opted_out,
        "unfinished": image.state in UNFINISHED,
        "duplicate": image.state == State.DUPLICATE,
        "without_result": not can_be_analysed(image.state, image.reason),
        "outdated": image.outdated,
    }
    return next((reason for reason, is_so in tests.items() if is_so), None)


def _is_here(image: RerunCandidate, settings: Settings) -> bool:
    """Return whether the folder of the source is on this host."""
    return image.kind not in STORES and _root(image, settings).is_dir()


def _why_no_file(image: RerunCandidate, settings: Settings) -> str | None:
    try:
        status = Path(os.fsdecode(path_of(_root(image, settings), image.uri))).stat()
    except (OSError, ValueError):
        return "missing_file"
    return None if (status.st_size, mtime_of(status)) == (image.size, image.mtime_ns) else "changed_file"


def _root(image: RerunCandidate, settings: Settings) -> Path:
    return settings.roots.get(image.source) or root_path(image.root)
