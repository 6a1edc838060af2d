"""A DICOMDIR: how many files each study of the medium has (DICOM PS3.3, annex F)."""

from collections import Counter
from typing import NamedTuple

from imaging import tags
from imaging.elements import Elements, HeaderError
from imaging.facts import UID_LENGTH, storable_text
from nightread.errors import RejectImage
from nightread.reasons import Reason

MOST_RECORDS = 200_000
_ITEM_HEADER_BYTES = 8
_NOT_IN_USE = 0
_STUDY = "STUDY"


class _Record(NamedTuple):
    following: int
    lower: int
    study_instance_uid: str | None
    """Of a study's own record."""
    has_file: bool
    in_use: bool


def is_directory(elements: Elements) -> bool:
    """Whether this is the data set of a DICOMDIR, whole or not."""
    return tags.FIRST_ROOT_RECORD in elements or tags.DIRECTORY_RECORDS in elements


def count_files(elements: Elements) -> dict[str, int]:
    """Files by Study Instance UID, for a data set whose bytes begin with the first byte of the file.

    Records point to each other by their place in the file (PS3.3 F.3.2.2). Raises RejectImage(BAD_DICOMDIR) where a
    record points to none, or to one that was met before.
    """
    try:
        records = _records(elements)
        waiting: list[tuple[int, str | None]] = [(_place(elements, tags.FIRST_ROOT_RECORD), None)]
        return _count(records, waiting)
    except HeaderError:
        raise RejectImage(Reason.BAD_DICOMDIR) from None


def _records(elements: Elements) -> dict[int, _Record]:
    records: dict[int, _Record] = {}
    for item in elements.items(tags.DIRECTORY_RECORDS):
        records[item.start - _ITEM_HEADER_BYTES] = _record(item)
        if len(records) > MOST_RECORDS:
            raise RejectImage(Reason.BAD_DICOMDIR, f"The DICOMDIR has more than {MOST_RECORDS:,} records.")
    return records


def _record(item: Elements) -> _Record:
    is_study = item.text(tags.RECORD_TYPE) == _STUDY
    return _Record(
        following=_place(item, tags.NEXT_RECORD),
        lower=_place(item, tags.LOWER_RECORD),
        study_instance_uid=storable_text(item.text(tags.STUDY_INSTANCE_UID), UID_LENGTH) if is_study else None,
        has_file=item.text(tags.REFERENCED_FILE) is not None,
        in_use=item.integer(tags.RECORD_IN_USE) != _NOT_IN_USE,
    )


def _place(elements: Elements, tag: int) -> int:
    return elements.integer(tag) or 0


def _count(records: dict[int, _Record], waiting: list[tuple[int, str | None]]) -> dict[str, int]:
    files: Counter[str] = Counter()
    met = set()
    while waiting:
        place, study = waiting.pop()
        if place == 0:
            continue
        record = records.get(place)
        if record is None or place in met:
            raise RejectImage(Reason.BAD_DICOMDIR)
        met.add(place)
        waiting.append((record.following, study))
        if not record.in_use:
            continue
        of_study = record.study_instance_uid or study
        if record.has_file and of_study:
            files[of_study] += 1
        waiting.append((record.lower, of_study))
    return dict(files)
