"""Compute the digest of a report's content, without its times. Reports with equal digests say the same."""

import json
from dataclasses import asdict
from hashlib import sha256

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
        "results": sorted(
            json.dumps({name: value for name, value in asdict(result).items() if name != "image_id"}, sort_keys=True)
            for result in results.results
        ),
    }
    if results.in_conflict:
        content["in_conflict"] = results.in_conflict
    return sha256(json.dumps(content, sort_keys=True).encode("ascii")).hexdigest()
