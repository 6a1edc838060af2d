"""Read a DICOMDIR: the number of files of each study on the medium (DICOM PS3.3, annex F)."""

from collections import Counter
from typing import NamedTuple

from imaging import tags
from imaging.elements import Elements
from imaging.facts import storable_uid
from imaging.walk import HeaderError
from nightread.errors import RejectImage
from nightread.reasons import Reason

MOST_RECORDS = 200_000
_ITEM_HEADER_BYTES = 8
_NOT_IN_USE = 0
_STUDY = "STUDY"


class _Record(NamedTuple):
    next: int
    lower: int
    study_instance_uid: str | None
    """None for a record whose type is not STUDY."""
    has_file: bool
    in_use: bool


def is_directory(elements: Elements) -> bool:
    """Return whether this is the data set of a DICOMDIR, complete or not."""
    return tags.FIRST_ROOT_RECORD in elements or tags.DIRECTORY_RECORDS in elements


def count_files(elements: Elements) -> dict[str, int]:
    """Return the number of files by Study Instance UID.

    Records refer to each other by their position in the file (PS3.3 F.3.2.2): the bytes of `elements` must be those of
    the whole file. Raises RejectImage(BAD_DICOMDIR) if a reference is invalid, or if two lead to the same record.
    """
    try:
        records = _records(elements)
        waiting: list[tuple[int, str | None]] = [(_place(elements, tags.FIRST_ROOT_RECORD), None)]
        return _count(records, waiting)
    except HeaderError as error:
        raise RejectImage(Reason.BAD_DICOMDIR, str(error)) from None


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
        next=_place(item, tags.NEXT_RECORD),
        lower=_place(item, tags.LOWER_RECORD),
        study_instance_uid=storable_uid(item.text(tags.STUDY_INSTANCE_UID)) if is_study else None,
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
        if record is None:
            raise RejectImage(Reason.BAD_DICOMDIR, f"A record leads to offset {place:,}, where no record begins.")
        if place in met:
            raise RejectImage(Reason.BAD_DICOMDIR, f"Two records lead to the record at offset {place:,}.")
        met.add(place)
        waiting.append((record.next, study))
        if not record.in_use:
            continue
        of_study = record.study_instance_uid or study
        if record.has_file and of_study:
            files[of_study] += 1
        waiting.append((record.lower, of_study))
    return dict(files)
