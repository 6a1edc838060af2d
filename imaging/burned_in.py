"""Decide whether the pixels of an image may show names, by what its header says about its origin."""

from imaging import tags
from imaging.elements import Elements
from imaging.kind import SCREEN_TYPES
from imaging.withheld_kinds import ALLOWED, why_withheld_by_class

_SYNTHETIC = "SYN"


def why_withheld(elements: Elements | None) -> str | None:
    """Return why no picture of an image with this header is shown, as a sentence; None if it may be shown.

    PNG and JPEG files (None) have no header that could say so. An image without BurnedInAnnotation may be shown, unless
    its kind speaks against it (PS3.3 C.7.6.1, C.8.6.1).
    """
    if elements is None:
        return None
    if _text(elements, tags.BURNED_IN_ANNOTATION).startswith("Y"):
        return f"The header says that there is text in the pixels (BurnedInAnnotation): no picture is shown. {ALLOWED}"
    types = {value.strip() for value in _text(elements, tags.IMAGE_TYPE).split("\\")}
    if types & SCREEN_TYPES or _text(elements, tags.CONVERSION_TYPE) not in ("", _SYNTHETIC):
        return f"The image is a capture of a screen, a film or a document, so no picture is shown. {ALLOWED}"
    return why_withheld_by_class(elements.text(tags.SOP_CLASS_UID), elements.text(tags.MODALITY))


def _text(elements: Elements, tag: int) -> str:
    return (elements.text(tag) or "").upper()
