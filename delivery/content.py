"""What a report says, without when: two reports with the same digest tell the reader the same."""

import json
from dataclasses import asdict
from hashlib import sha256

from db.queries import StudyResults

_LAYOUT = 1
"""Counted up when a report is to be sent again because it is laid out in another way."""


def digest_of(results: StudyResults, *, not_for_diagnosis: bool) -> str:
    """SHA-256, 64 hex digits, whatever the order of the images."""
    said = {
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
    return sha256(json.dumps(said, sort_keys=True).encode("ascii")).hexdigest()
