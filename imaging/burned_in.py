"""Decide by the header of an image whether its pixels may show names."""

from imaging import tags
from imaging.elements import Elements
from imaging.withheld_kinds import why_withheld_by_header


def why_withheld(elements: Elements | None) -> str | None:
    """Return why no picture of an image with this header is shown, as a sentence; None if it may be shown.

    `elements` is None for PNG and JPEG files, which have no header: their pictures may be shown.
    """
    if elements is None:
        return None
    return why_withheld_by_header(
        burned_in=elements.text(tags.BURNED_IN_ANNOTATION),
        image_type=elements.text(tags.IMAGE_TYPE),
        conversion_type=elements.text(tags.CONVERSION_TYPE),
        sop_class=elements.text(tags.SOP_CLASS_UID),
        modality=elements.text(tags.MODALITY),
    )
