"""Files that come beside images, are none themselves, and say something of them."""

from db.ledger import Annotations, Withdrawal
from imaging import tags
from imaging.dicom_image import DicomImage
from imaging.directory import count_files, is_directory
from imaging.elements import HeaderError
from imaging.errors import RejectDicomImage
from imaging.facts import storable_integer
from imaging.header import read_header
from imaging.key_objects import KEY_OBJECT_SELECTION, read_rejection
from imaging.limits import DEFAULT_LIMITS
from nightread.errors import RejectImage
from nightread.reasons import Reason
from worker.sidecars.manifest import read_manifest

_PACKED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07")
"""gzip, bzip2, xz, 7z, RAR: nobody looked whether there are images in it."""


class SidecarError(RejectDicomImage):
    """The file is no image; `hints` is what it says of others."""

    def __init__(
        self, reason: Reason, detail: str = "", *, rejected: RejectDicomImage, annotations: Annotations | None = None
    ) -> None:
        super().__init__(reason, detail, facts=rejected.facts)
        self.annotations = annotations


def sidecar_of(rejected: RejectDicomImage, data: bytes, *, member: bool) -> SidecarError | None:
    """What a file that was rejected is good for; None where it is good for nothing.

    `member`: it came in an archive, where viewers, previews and notes are no defects.
    """
    try:
        if rejected.reason is Reason.NOT_DICOM:
            return _manifest(rejected, data) or (
                SidecarError(Reason.MEDIA_FILE, rejected=rejected) if member and not data.startswith(_PACKED) else None
            )
        if rejected.reason is Reason.NON_IMAGE:
            return _object(rejected, data)
    except RejectImage as worse:
        return SidecarError(worse.reason, worse.detail, rejected=rejected)
    return None


def header_annotations(dicom_image: DicomImage) -> Annotations | None:
    """What an image says of its study: Number of Study Related Instances (0020,1208), which few of them do."""
    study, elements = dicom_image.facts.study_instance_uid, dicom_image.elements
    if study is None or elements is None or tags.NUMBER_OF_STUDY_RELATED_INSTANCES not in elements:
        return None
    try:
        images = storable_integer(elements.integer(tags.NUMBER_OF_STUDY_RELATED_INSTANCES))
    except HeaderError:
        return None
    return Annotations(reported_by="header", counts={study: images}) if images else None


def _manifest(rejected: RejectDicomImage, data: bytes) -> SidecarError | None:
    counts = read_manifest(data)
    if counts is None:
        return None
    return SidecarError(
        Reason.MANIFEST,
        f"A manifest of {_many(len(counts), 'study', 'studies')}.",
        rejected=rejected,
        annotations=Annotations(reported_by="manifest", counts=counts),
    )


def _object(rejected: RejectDicomImage, data: bytes) -> SidecarError | None:
    elements = read_header(data, DEFAULT_LIMITS).elements
    if is_directory(elements):
        counts = count_files(elements)
        detail = f"A DICOMDIR of {_many(len(counts), 'study', 'studies')}."
        annotations = Annotations(reported_by="manifest", counts=counts)
        return SidecarError(Reason.NON_IMAGE, detail, rejected=rejected, annotations=annotations)
    rejection = read_rejection(elements) if rejected.facts.sop_class_uid == KEY_OBJECT_SELECTION else None
    if rejection is None:
        return None
    detail = f"A note with the title {rejection.code} on {_many(len(rejection.sop_instance_uids), 'image', 'images')}."
    withdrawal = Withdrawal(
        study_instance_uid=rejection.study_instance_uid,
        code=rejection.code,
        sop_instance_uids=rejection.sop_instance_uids,
    )
    return SidecarError(Reason.KEY_OBJECT, detail, rejected=rejected, annotations=Annotations(withdrawal=withdrawal))


def _many(count: int, one: str, several: str) -> str:
    return f"{count:,} {one if count == 1 else several}"
