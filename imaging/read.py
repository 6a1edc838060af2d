"""Read one file: its facts for the database, its frames for the network."""

from pydicom.config import IGNORE
from pydicom.uid import UID

from imaging import tags
from imaging.budget import check_density
from imaging.codecs import Codec, codec_for, decoder_name
from imaging.dicom_image import DicomFrames, DicomImage
from imaging.elements import Elements
from imaging.errors import RejectDicomImage
from imaging.facts import NO_FACTS
from imaging.frame_location import locate_frames
from imaging.frames import StoredFrames
from imaging.header import (
    DEFLATED_EXPLICIT_LITTLE,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    Header,
    read_header,
)
from imaging.identity import read_facts, wrong_uids
from imaging.joined_codestreams import Span
from imaging.limits import DEFAULT_LIMITS, Limits
from imaging.own_results import is_own_picture, is_own_result
from imaging.palette import read_palette
from imaging.patient import PatientHasher
from imaging.pixel_layout import PALETTE, read_pixel_layout
from imaging.presentation import not_applied
from imaging.raster import is_raster, read_raster
from imaging.remarks import Remark, Remarks
from imaging.tags import tag_name
from imaging.walk import UNDEFINED
from nightread.errors import RejectImage
from nightread.reasons import PICTURE, Reason

_NATIVE = frozenset((IMPLICIT_LITTLE, EXPLICIT_LITTLE, DEFLATED_EXPLICIT_LITTLE, EXPLICIT_BIG))
_IMAGE_CLASS_WORDS = ("Image Storage", "Segmentation Storage", "Parametric Map Storage")


def read(
    data: bytes,
    *,
    limits: Limits = DEFAULT_LIMITS,
    patient: PatientHasher | None = None,
    accept_raster: bool = False,
) -> DicomImage:
    """Read the header and find the pixels. DICOM frames are decoded later, by DicomImage.frames().

    Without `patient` the facts hold no keys. Raises RejectDicomImage, whose `facts` hold what the header says.
    """
    header = None
    try:
        _check_size(data, limits)
        if is_raster(data):
            return _picture(data, limits, accept=accept_raster)
        header = read_header(data, limits)
        header.check()
        return _dicom_image(header, limits, patient)
    except RejectImage as rejected:
        facts = read_facts(header, patient) if header else NO_FACTS
        raise RejectDicomImage(rejected.reason, rejected.detail, facts=facts) from None


def _check_size(data: bytes, limits: Limits) -> None:
    if not data:
        raise RejectImage(Reason.EMPTY)
    if len(data) > limits.file_bytes:
        raise RejectImage(Reason.TOO_LARGE, "The file exceeds the limit max_file_bytes.")


def _picture(data: bytes, limits: Limits, *, accept: bool) -> DicomImage:
    if not accept:
        raise RejectImage(Reason.NOT_DICOM, PICTURE)
    return read_raster(data, limits)


def _dicom_image(header: Header, limits: Limits, patient: PatientHasher | None) -> DicomImage:
    elements = header.elements
    pixel_tag = next((tag for tag in tags.PIXEL_DATA_TAGS if tag in elements), None)
    if pixel_tag is None:
        raise _without_pixels(elements)
    if is_own_picture(elements):
        raise RejectImage(Reason.OWN_RESULT)
    remarks = Remarks()
    layout = read_pixel_layout(elements, pixel_tag, limits)
    if layout.photometric_assumed:
        photometric = tag_name(tags.PHOTOMETRIC_INTERPRETATION)
        remarks.add(Remark.PHOTOMETRIC_ASSUMED, f"{photometric} is missing; {layout.photometric} was assumed.")
    codec = _codec(header, pixel_tag, remarks)
    layout, spans = locate_frames(elements, layout, codec, limits, remarks)
    stored_bytes = layout.stored_bytes if codec is None else _distinct_bytes(spans)
    check_density(layout, stored_bytes)
    stored = StoredFrames(elements, layout, codec, spans, remarks)
    if note := not_applied(elements, layout):
        remarks.add(Remark.PARTLY_USED, note)
    palette = read_palette(elements, layout) if layout.photometric == PALETTE else None
    if layout.photometric == PALETTE and palette is None:
        remarks.add(Remark.PALETTE_MISSING)
    facts = read_facts(header, patient, decoder=decoder_name(codec), frames=layout.frames)
    if wrong := wrong_uids(facts):
        remarks.add(Remark.UID_WRONG, f"No valid UID: {', '.join(wrong)}.")
    return DicomImage(
        facts=facts,
        frame_count=layout.frames,
        elements=elements,
        source=DicomFrames(elements=elements, layout=layout, stored=stored, palette=palette, remarks=remarks),
        remarks=remarks,
        stored_bytes=stored_bytes,
    )


def _distinct_bytes(spans: list[list[Span]]) -> int:
    """Return the number of bytes of all compressed frames. Bytes that several frames share are counted once."""
    return sum(end - start for start, end in {span for frame in spans for span in frame})


def _codec(header: Header, pixel_tag: int, remarks: Remarks) -> Codec | None:
    """Return the codec of the transfer syntax; None for uncompressed pixels.

    If the transfer syntax is missing or wrong, compressed pixels count as JPEG. Each frame is decoded as its codestream
    says, whatever the codec is.
    """
    syntax = header.transfer_syntax
    if syntax is not None and syntax not in _NATIVE:
        return codec_for(syntax)
    _, position, length = header.elements.get(pixel_tag) or (b"", 0, 0)
    if length != UNDEFINED:
        return None
    if syntax is not None:
        compressed = f"{tag_name(pixel_tag)} at offset {position:,} is compressed"
        remarks.add(
            Remark.SYNTAX_CONTRADICTED, f"{compressed}, which contradicts {tag_name(tags.TRANSFER_SYNTAX_UID)}."
        )
    return Codec.JPEG


def _without_pixels(elements: Elements) -> RejectImage:
    if is_own_result(elements):
        return RejectImage(Reason.OWN_RESULT)
    if not _is_image(elements):
        return RejectImage(Reason.NON_IMAGE)
    missing = f"{tag_name(tags.PIXEL_DATA)} is missing; the data set ends at offset {elements.end:,}."
    return RejectImage(Reason.NO_PIXEL_DATA, missing)


def _is_image(elements: Elements) -> bool:
    """Return whether the object should have pixel data: by its SOP class, or because the header has Rows."""
    sop_class = UID(elements.text(tags.SOP_CLASS_UID) or "", validation_mode=IGNORE).name
    return tags.ROWS in elements or any(word in sop_class for word in _IMAGE_CLASS_WORDS)
