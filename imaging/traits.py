"""Read the header values that routing rules can test."""

from typing import NamedTuple

from imaging import tags
from imaging.dicom_image import DicomImage
from imaging.facts import CODE_LENGTH, TEXT_LENGTH, storable_text

_VALUES_LENGTH = 4096
"""Maximum length of all values of an element. Some devices write many values of 16 characters each."""


class Traits(NamedTuple):
    """Header values of one object, with one entry per value of an element; empty if the element has no value."""

    source: tuple[str, ...] = ()
    """Name of the source that the image came from."""
    sop_class: tuple[str, ...] = ()
    modality: tuple[str, ...] = ()
    image_type: tuple[str, ...] = ()
    """The values of Image Type (PS3.3 C.7.6.1.1.2), such as ORIGINAL, PRIMARY, LOCALIZER."""
    presentation_intent: tuple[str, ...] = ()
    """FOR PRESENTATION or FOR PROCESSING (PS3.3 C.8.11.1)."""
    body_part: tuple[str, ...] = ()
    view: tuple[str, ...] = ()
    """View Position (PS3.3 C.8.7.1), such as PA, AP, LL."""
    description: tuple[str, ...] = ()
    """Descriptions of series and study: free text."""
    rows: int | None = None
    columns: int | None = None


def read_traits(dicom_image: DicomImage, source: str) -> Traits:
    """Return the traits of an image from this source. PNG and JPEG files have only source, rows and columns."""
    facts, elements = dicom_image.facts, dicom_image.elements
    if elements is None:
        return Traits(source=(source,), rows=facts.rows, columns=facts.columns)
    described = (elements.text(tag) for tag in (tags.SERIES_DESCRIPTION, tags.STUDY_DESCRIPTION))
    return Traits(
        source=(source,),
        sop_class=_values(facts.sop_class_uid),
        modality=_values(facts.modality),
        image_type=_values(storable_text(elements.text(tags.IMAGE_TYPE), _VALUES_LENGTH)),
        presentation_intent=_values(storable_text(elements.text(tags.PRESENTATION_INTENT_TYPE), _VALUES_LENGTH)),
        body_part=_values(facts.body_part),
        view=_values(storable_text(elements.text(tags.VIEW_POSITION), CODE_LENGTH)),
        description=tuple(text for text in (storable_text(text, TEXT_LENGTH) for text in described) if text),
        rows=facts.rows,
        columns=facts.columns,
    )


def _values(text: str | None) -> tuple[str, ...]:
    return tuple(value for value in (part.strip() for part in (text or "").split("\\")) if value)
