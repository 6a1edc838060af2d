"""Recognise sidecars: non-image files that describe images."""

from db.ledger import Annotations, Withdrawal
from imaging import tags
from imaging.dicom_image import DicomImage
from imaging.directory import count_files, is_directory
from imaging.errors import RejectDicomImage
from imaging.facts import storable_integer
from imaging.header import read_header
from imaging.key_objects import KEY_OBJECT_SELECTION, read_rejection
from imaging.limits import DEFAULT_LIMITS
from imaging.walk import HeaderError
from nightread.errors import RejectImage
from nightread.reasons import Reason
from worker.sidecars.manifest import read_manifest

_COMPRESSED_MAGICS = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07")
"""First bytes of gzip, bzip2, xz, 7z and RAR. Such a file may contain images, so it stays `not_dicom`."""


class SidecarError(RejectDicomImage):
    """The file is not an image. `annotations` is what it says about other arrivals."""

    def __init__(
        self, reason: Reason, detail: str = "", *, rejected: RejectDicomImage, annotations: Annotations | None = None
    ) -> None:
        super().__init__(reason, detail, facts=rejected.facts)
        self.annotations = annotations


def sidecar_of(rejected: RejectDicomImage, data: bytes, *, member: bool) -> SidecarError | None:
    """Return the error to record for a sidecar (manifest, DICOMDIR, key object note); None if the file is no sidecar.

    Set `member` if the file came from an archive. Other files, such as viewers and previews, are normal there, so they
    get the reason `media_file`.
    """
    try:
        if rejected.reason is Reason.NOT_DICOM:
            return _manifest_sidecar(rejected, data) or (
                SidecarError(Reason.MEDIA_FILE, rejected=rejected)
                if member and not data.startswith(_COMPRESSED_MAGICS)
                else None
            )
        if rejected.reason is Reason.NON_IMAGE:
            return _dicom_sidecar(rejected, data)
    except RejectImage as error:
        return SidecarError(error.reason, error.detail, rejected=rejected)
    return None


def header_annotations(dicom_image: DicomImage) -> Annotations | None:
    """Return the number of images that the header states for the study, or None if it states no number.

    The element is Number of Study Related Instances (0020,1208); few images have it.
    """
    study, elements = dicom_image.facts.study_instance_uid, dicom_image.elements
    if study is None or elements is None or tags.NUMBER_OF_STUDY_RELATED_INSTANCES not in elements:
        return None
    try:
        images = storable_integer(elements.integer(tags.NUMBER_OF_STUDY_RELATED_INSTANCES))
    except HeaderError:
        return None
    return Annotations(reported_by="header", counts={study: images}) if images else None


def _manifest_sidecar(rejected: RejectDicomImage, data: bytes) -> SidecarError | None:
    counts = read_manifest(data)
    if counts is None:
        return None
    return SidecarError(
        Reason.MANIFEST,
        f"The manifest lists {_counted(len(counts), 'study', 'studies')}.",
        rejected=rejected,
        annotations=Annotations(reported_by="manifest", counts=counts),
    )


def _dicom_sidecar(rejected: RejectDicomImage, data: bytes) -> SidecarError | None:
    elements = read_header(data, DEFAULT_LIMITS).elements
    if is_directory(elements):
        counts = count_files(elements)
        detail = f"The DICOMDIR lists {_counted(len(counts), 'study', 'studies')}."
        annotations = Annotations(reported_by="manifest", counts=counts)
        return SidecarError(Reason.NON_IMAGE, detail, rejected=rejected, annotations=annotations)
    rejection = read_rejection(elements) if rejected.facts.sop_class_uid == KEY_OBJECT_SELECTION else None
    if rejection is None:
        return None
    detail = (
        f"The note with the title {rejection.code} rejects "
        f"{_counted(len(rejection.sop_instance_uids), 'image', 'images')}."
    )
    withdrawal = Withdrawal(
        study_instance_uid=rejection.study_instance_uid,
        code=rejection.code,
        sop_instance_uids=rejection.sop_instance_uids,
    )
    return SidecarError(Reason.KEY_OBJECT, detail, rejected=rejected, annotations=Annotations(withdrawal=withdrawal))


def _counted(count: int, one: str, several: str) -> str:
    return f"{count:,} {one if count == 1 else several}"
