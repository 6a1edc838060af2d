"""Read from a header the values that are stored in the database."""

from imaging import tags
from imaging.acquisition import read_acquisition
from imaging.elements import Elements
from imaging.facts import CODE_LENGTH, TEXT_LENGTH, Facts, storable_integer, storable_text, storable_uid
from imaging.header import Header
from imaging.patient import PatientHasher
from imaging.tags import tag_name
from imaging.walk import HeaderError
from nightread.plain_text import is_uid


def read_facts(
    header: Header, patient: PatientHasher | None, *, decoder: str | None = None, frames: int | None = None
) -> Facts:
    """Read the facts of any header; unusable values become None. Without a `patient` hasher the keys are None.

    `frames` is their number if it was counted in the pixel data.
    """
    elements = header.elements

    def text(tag: int, length: int) -> str | None:
        return storable_text(elements.text(tag), length)

    acquisition = read_acquisition(elements)
    rows = _integer(elements, tags.ROWS)
    if frames is None:
        frames = _integer(elements, tags.NUMBER_OF_FRAMES)
    return Facts(
        sop_instance_uid=storable_uid(elements.text(tags.SOP_INSTANCE_UID)),
        series_instance_uid=storable_uid(elements.text(tags.SERIES_INSTANCE_UID)),
        study_instance_uid=storable_uid(elements.text(tags.STUDY_INSTANCE_UID)),
        sop_class_uid=storable_uid(elements.text(tags.SOP_CLASS_UID)),
        transfer_syntax=storable_uid(header.transfer_syntax),
        modality=text(tags.MODALITY, CODE_LENGTH),
        body_part=text(tags.BODY_PART_EXAMINED, CODE_LENGTH),
        image_type=text(tags.IMAGE_TYPE, TEXT_LENGTH),
        study_date=acquisition.study_date,
        view_position=acquisition.view_position,
        laterality=acquisition.laterality,
        manufacturer=acquisition.manufacturer,
        station_name=acquisition.station_name,
        patient_sex=acquisition.patient_sex,
        age_band=acquisition.age_band,
        rows=rows,
        columns=_integer(elements, tags.COLUMNS),
        frames=1 if frames is None and rows is not None else frames,
        patient_key=_patient_key(elements, patient) if patient else None,
        accession_key=_accession_key(elements, patient) if patient else None,
        key_id=patient.key_id if patient else None,
        decoder=decoder,
    )


def wrong_uids(facts: Facts) -> list[str]:
    """Return the names of the elements that should hold a UID and hold another text (DICOM PS3.5, section 9.1)."""
    uids = (
        (tags.SOP_INSTANCE_UID, facts.sop_instance_uid),
        (tags.SERIES_INSTANCE_UID, facts.series_instance_uid),
        (tags.STUDY_INSTANCE_UID, facts.study_instance_uid),
        (tags.SOP_CLASS_UID, facts.sop_class_uid),
    )
    return [tag_name(tag) for tag, uid in uids if uid is not None and not is_uid(uid)]


def _integer(elements: Elements, tag: int) -> int | None:
    try:
        return storable_integer(elements.integer(tag))
    except HeaderError:
        return None


def _patient_key(elements: Elements, patient: PatientHasher) -> str | None:
    return patient.patient_key(elements.text(tags.ISSUER_OF_PATIENT_ID), elements.text(tags.PATIENT_ID))


def _accession_key(elements: Elements, patient: PatientHasher) -> str | None:
    try:
        issuer = elements.item(tags.ISSUER_OF_ACCESSION_NUMBER_SEQUENCE)
    except HeaderError:
        issuer = None
    name = issuer.text(tags.LOCAL_NAMESPACE_ENTITY_ID) if issuer else None
    return patient.accession_key(name, elements.text(tags.ACCESSION_NUMBER))
