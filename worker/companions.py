"""Files that come beside images, are none themselves, and say something of them."""

from db.ledger import Hints, Withdrawal
from imaging import tags
from imaging.dicom_image import DicomImage
from imaging.directory import count_files, is_directory
from imaging.elements import HeaderError
from imaging.errors import RejectScan
from imaging.facts import storable_integer
from imaging.header import read_header
from imaging.key_objects import KEY_OBJECT_SELECTION, read_rejection
from imaging.limits import DEFAULT_LIMITS
from nightread.errors import RejectImage
from nightread.reasons import Reason
from worker.manifest import read_manifest

_PACKED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07")
"""gzip, bzip2, xz, 7z, RAR: nobody looked whether there are images in it."""


class CompanionError(RejectScan):
    """The file is no image; `hints` is what it says of others."""

    def __init__(self, reason: Reason, detail: str = "", *, rejected: RejectScan, hints: Hints | None = None) -> None:
        super().__init__(reason, detail, facts=rejected.facts)
        self.hints = hints


def companion_of(rejected: RejectScan, data: bytes, *, member: bool) -> CompanionError | None:
    """What a file that was rejected is good for; None where it is good for nothing.

    `member`: it came in an archive, where viewers, previews and notes are no defects.
    """
    try:
        if rejected.reason is Reason.NOT_DICOM:
            return _manifest(rejected, data) or (
                CompanionError(Reason.MEDIA_FILE, rejected=rejected)
                if member and not data.startswith(_PACKED)
                else None
            )
        if rejected.reason is Reason.NON_IMAGE:
            return _object(rejected, data)
    except RejectImage as worse:
        return CompanionError(worse.reason, worse.detail, rejected=rejected)
    return None


def hints_of_header(scan: DicomImage) -> Hints | None:
    """What an image says of its study: Number of Study Related Instances (0020,1208), which few of them do."""
    study, elements = scan.facts.study_instance_uid, scan.elements
    if study is None or elements is None or tags.NUMBER_OF_STUDY_RELATED_INSTANCES not in elements:
        return None
    try:
        images = storable_integer(elements.integer(tags.NUMBER_OF_STUDY_RELATED_INSTANCES))
    except HeaderError:
        return None
    return Hints(told_by="header", counts={study: images}) if images else None


def _manifest(rejected: RejectScan, data: bytes) -> CompanionError | None:
    counts = read_manifest(data)
    if counts is None:
        return None
    return CompanionError(
        Reason.MANIFEST,
        f"A manifest of {_many(len(counts), 'study', 'studies')}.",
        rejected=rejected,
        hints=Hints(told_by="manifest", counts=counts),
    )


def _object(rejected: RejectScan, data: bytes) -> CompanionError | None:
    elements = read_header(data, DEFAULT_LIMITS).elements
    if is_directory(elements):
        counts = count_files(elements)
        detail = f"A DICOMDIR of {_many(len(counts), 'study', 'studies')}."
        hints = Hints(told_by="manifest", counts=counts)
        return CompanionError(Reason.NON_IMAGE, detail, rejected=rejected, hints=hints)
    rejection = read_rejection(elements) if rejected.facts.sop_class_uid == KEY_OBJECT_SELECTION else None
    if rejection is None:
        return None
    detail = f"A note with the title {rejection.code} on {_many(len(rejection.sop_instance_uids), 'image', 'images')}."
    withdrawal = Withdrawal(
        study_instance_uid=rejection.study_instance_uid,
        code=rejection.code,
        sop_instance_uids=rejection.sop_instance_uids,
    )
    return CompanionError(Reason.KEY_OBJECT, detail, rejected=rejected, hints=Hints(withdrawal=withdrawal))


def _many(count: int, one: str, several: str) -> str:
    return f"{count:,} {one if count == 1 else several}"
