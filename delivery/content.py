"""Compute the digest of a report's content, without its times. Reports with equal digests have equal contents."""

import json
from dataclasses import asdict
from hashlib import sha256
from typing import Any

from db.queries import StudyResults

_LAYOUT = 1
"""Increase this number if the layout changes so much that all reports must be sent again."""


def content_digest(results: StudyResults, *, not_for_diagnosis: bool) -> str:
    """Return a SHA-256 of 64 hex digits, which does not depend on the order of the images."""
    content = {
        "layout": _LAYOUT,
        "not_for_diagnosis": not_for_diagnosis,
        "study": results.study_instance_uid,
        "without_result": results.without_result,
        "nameless": results.nameless,
        "results": sorted(json.dumps(_content(asdict(result)), sort_keys=True) for result in results.results),
    }
    if results.series_without_result:
        content["series_without_result"] = results.series_without_result
    if results.in_conflict:
        content["in_conflict"] = results.in_conflict
    return sha256(json.dumps(content, sort_keys=True).encode("ascii")).hexdigest()


_UNCOUNTED = ("image_id", "scores", "strongest_frame")


def _content(result: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a result that the digest covers.

    Scores are left out, because they follow from the image and the bundle. Codes are left out, because reports that
    were already sent stay valid if a bundle gets codes later.
    """
    bundle = {name: value for name, value in result["bundle"].items() if name not in ("labels", "codes")}
    # Without series, the digest must equal that of releases that had no series.
    left_out = _UNCOUNTED if result["series"] is not None else (*_UNCOUNTED, "series")
    return {name: value for name, value in result.items() if name not in left_out} | {"bundle": bundle}
