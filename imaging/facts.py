"""Define the facts of a header that the database stores. They fit their columns, and hold no name or birth date."""

from hashlib import blake2b
from typing import NamedTuple

from nightread.plain_text import is_uid, visible

UID_LENGTH = 64
CODE_LENGTH = 16
TEXT_LENGTH = 64
STATION_LENGTH = 16
BAND_LENGTH = 8
KEY_LENGTH = 64
ISSUER_LENGTH = 200
INTEGER_LIMIT = 2**31 - 1
_DIGEST_BYTES = 8


class Facts(NamedTuple):
    """The facts of one DICOM object that can be stored. A field is None if the header has no usable value for it.

    Pass the fields by name. This is a named tuple because a frozen data class takes three times as long to create.
    """

    sop_instance_uid: str | None = None
    series_instance_uid: str | None = None
    study_instance_uid: str | None = None
    sop_class_uid: str | None = None
    transfer_syntax: str | None = None
    modality: str | None = None
    body_part: str | None = None
    image_type: str | None = None
    study_date: str | None = None
    """DICOM DA, eight digits."""
    view_position: str | None = None
    """View of a projection (0018,5101), such as PA, LL or MLO."""
    laterality: str | None = None
    """R, L, B (both) or U (unpaired)."""
    manufacturer: str | None = None
    station_name: str | None = None
    """Name of the device at its site (0008,1010)."""
    device_model: str | None = None
    """Manufacturer's name of the device (0008,1090)."""
    photometric: str | None = None
    """PhotometricInterpretation as the header has it."""
    pixel_spacing: float | None = None
    """Millimetres between the centres of neighbouring rows, in the patient or else on the detector or film."""
    patient_sex: str | None = None
    """M, F or O (other)."""
    age_band: str | None = None
    """Age of the patient at the study in tens of years, such as 40-49; from 90 on it is 90+."""
    rows: int | None = None
    columns: int | None = None
    frames: int | None = None
    patient_key: str | None = None
    """HMAC-SHA-256 of issuer and PatientID, 64 hex digits (imaging.patient)."""
    accession_key: str | None = None
    key_id: str | None = None
    """Identifies the site key of `patient_key` and `accession_key`: eight hex digits."""
    decoder: str | None = None
    """Library and version that decoded the pixels, such as `imagecodecs 2026.3.6`."""
    geometry: str | None = None
    """Positions of the slices, as JSON (imaging.stored_geometry); None unless a bundle has the unit `series`."""


FACT_NAMES = Facts._fields
NO_FACTS = Facts()


def storable_text(value: object, length: int) -> str | None:
    """Return text for an SQL column of `length` characters: stripped, without NUL; None if empty.

    Lone surrogates become question marks, and control and similar characters become escapes (nightread.plain_text).
    """
    if value is None:
        return None
    text = str(value)
    if not text.isprintable():
        text = visible(text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8").strip())
    return text.strip()[:length] or None


def storable_uid(value: str | None) -> str | None:
    """Return a UID for its column, like `storable_text`, but different UIDs stay different.

    A UID that is too long keeps its first characters and gets a digest, so that it differs from UIDs with the same
    beginning; it is then not a valid UID. Text that is no UID is kept, because some devices write letters into UIDs.
    """
    if value is None or is_uid(value):
        return value
    text = visible(value.strip("\x00 \t\n\r"))
    if len(text) <= UID_LENGTH:
        return text or None
    digest = blake2b(text.encode(), digest_size=_DIGEST_BYTES).hexdigest()
    return f"{text[: UID_LENGTH - len(digest) - 1]}~{digest}"


def storable_integer(value: object) -> int | None:
    """Return a non-negative integer of at most 31 bits; None for any other value."""
    try:
        number = int(value)  # type: ignore[call-overload]
    except (TypeError, ValueError, OverflowError):
        return None
    return number if 0 <= number <= INTEGER_LIMIT else None
