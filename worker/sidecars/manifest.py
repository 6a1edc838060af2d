"""Read a sender's manifest: a CSV or JSON file with the expected number of images of each study."""

import csv
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from imaging.facts import INTEGER_LIMIT
from nightread.errors import RejectImage
from nightread.reasons import Reason

STUDY, IMAGES = "study_instance_uid", "images"
MOST_BYTES = 16 * 1024**2
_START_BYTES = 4096
_UID = re.compile(r"[0-9.]{1,64}")
_BOM = b"\xef\xbb\xbf"


def read_manifest(data: bytes) -> dict[str, int] | None:
    """Return the expected images by Study Instance UID, or None if the file is not a manifest.

    A CSV manifest begins with a line of column names that contains STUDY and IMAGES, separated by commas or semicolons.
    A JSON manifest is a list of objects with these two names, or an object with such a list under `studies`. Raises
    RejectImage(BAD_MANIFEST) for a manifest with an invalid entry.
    """
    start = data[:_START_BYTES].removeprefix(_BOM).lstrip()
    first_line = start.splitlines()[0] if start else b""
    is_json = start[:1] in (b"[", b"{") and all(f'"{name}"'.encode() in start for name in (STUDY, IMAGES))
    is_csv = {STUDY.encode(), IMAGES.encode()} <= {name.strip(b' "\t') for name in re.split(rb"[,;]", first_line)}
    if len(data) > MOST_BYTES or not (is_json or is_csv):
        return None
    try:
        text = data.decode("utf-8-sig")
        return _counts(_parse_json(text) if is_json else _parse_csv(text.strip().splitlines()))
    except (ValueError, KeyError, RecursionError, csv.Error):
        raise RejectImage(Reason.BAD_MANIFEST) from None


def _parse_json(text: str) -> Iterator[tuple[Any, Any]]:
    content = json.loads(text)
    entries = content.get("studies") if isinstance(content, dict) else content
    if not isinstance(entries, list):
        raise RejectImage(Reason.BAD_MANIFEST, "The manifest contains no list of studies.")
    for entry in entries:
        yield (entry.get(STUDY), entry.get(IMAGES)) if isinstance(entry, dict) else (None, None)


def _parse_csv(lines: list[str]) -> Iterator[tuple[Any, Any]]:
    delimiter = ";" if ";" in lines[0] else ","
    rows: Any = csv.DictReader(lines, delimiter=delimiter, skipinitialspace=True)
    rows.fieldnames = [(name or "").strip() for name in rows.fieldnames]
    for row in rows:
        yield (row[STUDY] or "").strip(), row[IMAGES]


def _counts(entries: Iterable[tuple[Any, Any]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for number, (study, images) in enumerate(entries, start=1):
        known = isinstance(study, str) and _UID.fullmatch(study)
        if not known or type(images) not in (int, str) or not 0 <= int(images) <= INTEGER_LIMIT:
            raise RejectImage(
                Reason.BAD_MANIFEST,
                f"Entry {number} of the manifest has an invalid UID or an invalid number of images.",
            )
        if study in counts:
            raise RejectImage(Reason.BAD_MANIFEST, f"Entry {number} of the manifest repeats an earlier study.")
        counts[study] = int(images)
    return counts
