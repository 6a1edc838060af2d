"""Read the facts of an image, which the database stores, from its header."""

from functools import lru_cache

from imaging import tags
from imaging.acquisition import ACQUISITION_TAGS, acquisition_of
from imaging.elements import Elements, text_of
from imaging.facts import CODE_LENGTH, TEXT_LENGTH, Facts, storable_integer, storable_text, storable_uid
from imaging.header import Header
from imaging.patient import PatientHasher
from imaging.tags import tag_name
from imaging.walk import HeaderError
from nightread.plain_text import is_uid

_TAGS_OF_SERIES = (
    tags.SPECIFIC_CHARACTER_SET,
    tags.SERIES_INSTANCE_UID,
    tags.STUDY_INSTANCE_UID,
    tags.SOP_CLASS_UID,
    tags.MODALITY,
    tags.BODY_PART_EXAMINED,
    tags.IMAGE_TYPE,
    *ACQUISITION_TAGS,
)
_LONGEST_VALUE = 4096
_CACHED = 256
"""Number of cached combinations of values. Most images of a series have the same combination."""


def read_facts(
    header: Header, patient: PatientHasher | None, *, decoder: str | None = None, frames: int | None = None
) -> Facts:
    """Read the facts of any header; unusable values become None. Without a `patient` hasher the keys are None.

    `frames` is the number of frames if it was counted in the pixel data.
    """
    elements = header.elements
    rows = _integer(elements, tags.ROWS)
    if frames is None:
        frames = _integer(elements, tags.NUMBER_OF_FRAMES)
    of_series = _facts_of_series(elements.short_values(_TAGS_OF_SERIES, _LONGEST_VALUE), header.transfer_syntax)
    return of_series._replace(
        sop_instance_uid=storable_uid(elements.text(tags.SOP_INSTANCE_UID)),
        rows=rows,
        columns=_integer(elements, tags.COLUMNS),
        frames=1 if frames is None and rows is not None else frames,
        patient_key=_patient_key(elements, patient) if patient else None,
        accession_key=_accession_key(elements, patient) if patient else None,
        key_id=patient.key_id if patient else None,
        decoder=decoder,
    )


@lru_cache(_CACHED)
def _facts_of_series(values: tuple[bytes, ...], transfer_syntax: str | None) -> Facts:
    """Convert the values of _TAGS_OF_SERIES, given in this order. Most images of a series have the same values."""
    character_sets, *uids, modality, body_part, image_type = values[: -len(ACQUISITION_TAGS)]
    acquisition = acquisition_of(values[-len(ACQUISITION_TAGS) :], character_sets)
    series, study, sop_class = (storable_uid(text_of(value, character_sets)) for value in uids)
    return Facts(
        series_instance_uid=series,
        study_instance_uid=study,
        sop_class_uid=sop_class,
        transfer_syntax=storable_uid(transfer_syntax),
        modality=storable_text(text_of(modality, character_sets), CODE_LENGTH),
        body_part=storable_text(text_of(body_part, character_sets), CODE_LENGTH),
        image_type=storable_text(text_of(image_type, character_sets), TEXT_LENGTH),
        **acquisition._asdict(),
    )


def wrong_uids(facts: Facts) -> list[str]:
    """Return the names of the elements that must hold a UID but hold other text (DICOM PS3.5, section 9.1)."""
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
